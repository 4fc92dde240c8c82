"""``nversion doctor``: whether attacks, or without a model this installation, can be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.images import first_test_images, test_images_of
from nversion.cli.options import (
    DataDirOption,
    FirstImagesOption,
    InputOption,
    JsonOption,
    KOption,
    TrustOption,
    data_option,
    voter_option,
)
from nversion.cli.printing import print_table, working
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.cli.voters import attacked

if TYPE_CHECKING:
    from nversion.attacks.doctor import Diagnosis

__all__ = ["doctor"]

SAID = {True: "passed", False: "FAILED", None: "-"}


def doctor(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODELS...]",
            help="Folders or files of versions: one is a network, several are a program that "
            "votes. "
            "Without any, the installation is checked.",
            show_default=False,
        ),
    ] = None,
    norm: Annotated[
        str, typer.Option(callback=choices.ball, help="2 or inf, of the attacks.")
    ] = "inf",
    epsilon: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="The radius at which attacks are compared. [default: 0.1 in Linf, 1 in L2]",
            show_default=False,
        ),
    ] = None,
    images: FirstImagesOption = 50,
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("several versions")] = None,
    k: KOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the attacks.")] = 0,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check whether an evaluation by attacks can be believed; without models, the installation.

    An attack that is hindered looks like a defence that works: gradients that are zero, a model
    that draws at random, an attack that finds less with more steps, or less than one that knows
    less. The installation is checked by what it finds, and by tests with known answers. Exit code 1
    if a check fails.

    - `nversion doctor`

    - `nversion doctor versions/v001`

    - `nversion doctor versions/v001 versions/v002 versions/v003 --voter majority --norm 2`
    """
    if not models:
        _installation(data_dir, as_json)
        return
    for folder in models:
        check_version(folder)
    from nversion.attacks.doctor import examine

    versions = load_versions(models, inputs, trust=trust)
    dataset = test_images_of(list(versions.values()), data, data_dir)
    subject, name, facts = attacked(confirmed(versions, dataset), models, voter, k)
    chosen, labels = first_test_images(dataset, images)
    with working(f"attacking {name} in several ways ..."):
        found = examine(subject, chosen, labels, norm=norm, epsilon=epsilon, seed=seed)
    if as_json:
        typer.echo(json.dumps({**facts, "dataset": dataset.name, **found.to_json()}, indent=2))
    else:
        _print(name, dataset.name, found)
    if found.failed:
        raise typer.Exit(1)


def _installation(data_dir: Path | None, as_json: bool) -> None:
    """Check what is installed, and say so check by check; exit code 1 if one is bad."""
    import dataclasses

    if not as_json:
        typer.echo("checking this installation, a quarter of a minute ...", err=True)
    from nversion.installation import check_installation

    checks = []
    for check in check_installation(data_dir):
        checks.append(check)
        if not as_json:
            remedy = f"; {check.remedy}" if check.remedy and check.status != "good" else ""
            typer.echo(f"{check.status:7} {check.name}: {check.found}{remedy}")
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    if any(check.status == "bad" for check in checks):
        raise typer.Exit(1)


def _print(name: str, dataset: str, found: Diagnosis) -> None:
    typer.echo(f"{name} on {found.images} test images of {dataset} that it gets right")
    rows = [(check.name, SAID[check.passed], check.says) for check in found.checks]
    print_table(("check", "", "what was found"), rows)
