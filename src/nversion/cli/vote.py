"""``nversion vote``: how often a program of several versions is right, beside each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import (
    VOTERS,
    DataDirOption,
    check_version,
    first_test_images,
    load_versions,
    test_images_of,
    voter_from,
)
from nversion.cli.printing import print_table

if TYPE_CHECKING:
    from torch import Tensor

    from nversion.program import Program, Verdict

__all__ = ["vote"]


def vote(
    versions: Annotated[
        list[Path], typer.Argument(metavar="VERSIONS...", help="Folders of versions.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            callback=choices.dataset,
            help="A dataset's name, an .npz file or a folder of images. [default: what the "
            "versions were trained on]",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[
        str | None,
        typer.Option(
            help=f"How they vote: {VOTERS}. [default: mean-softmax]",
            show_default=False,
            callback=choices.voter,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Votes that the voter k-of-n asks for.", show_default=False),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, help="The first test images, so many. [default: all]", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let versions vote on the test images, and count how often they are right.

    An abstention is counted by itself, and as not right. The agreement is the share of versions
    whose own class is the verdict, in the mean over the images.

    - `nversion vote versions/v001 versions/v002 versions/v003`

    - `nversion vote versions/v* --voter k-of-n --k 2 --json`
    """
    for folder in versions:
        check_version(folder)
    from nversion.program import Program

    chosen = voter_from(voter, k)
    found = load_versions(versions)
    program = Program([one.model for one in found.values()], chosen)
    dataset = test_images_of(list(found.values()), data, data_dir)
    pictures, labels = first_test_images(dataset, images)
    verdict, right = _count(program, pictures, labels)
    individual = dict(zip(found, right, strict=True))
    decided = verdict.labels >= 0
    correct = verdict.labels == labels
    facts: dict[str, Any] = {
        "dataset": dataset.name,
        "images": len(labels),
        "voter": chosen.name,
        "k": k,
        "accuracy": int(correct.sum()) / len(labels),
        "abstentions": int((~decided).sum()),
        "wrong": int((decided & ~correct).sum()),
        "agreement": float(verdict.agreement.double().mean()),
        "unanimous": float((verdict.agreement >= 1).double().mean()),
        "mean_individual": sum(right) / len(right),
        "best_individual": max(right),
        "versions": [{"name": name, "accuracy": value} for name, value in individual.items()],
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)


def _count(program: Program, images: Tensor, labels: Tensor) -> tuple[Verdict, list[float]]:
    """Return the verdict and each version's accuracy."""
    from nversion.models import predict
    from nversion.progress import progress_bar

    right = []
    with progress_bar("voting", len(program.models) + 1) as advance:
        for model in program.models:
            hits = int((predict(model, images) == labels).sum())
            right.append(hits / len(labels))
            advance()
        verdict = program.vote(images)
        advance()
    return verdict, right


def _print(facts: Mapping[str, Any]) -> None:
    count, total = len(facts["versions"]), facts["images"]
    k = f", k={facts['k']}" if facts["k"] else ""
    typer.echo(
        f"program of {count} ({facts['voter']}{k}) on {total} test images of {facts['dataset']}: "
        f"{facts['accuracy']:.2%} right"
    )
    rows = [
        ("wrong", f"{facts['wrong'] / total:.2%}"),
        ("abstained", f"{facts['abstentions'] / total:.2%}"),
        ("agreement with the verdict", f"{facts['agreement']:.2%}"),
        ("unanimous", f"{facts['unanimous']:.2%}"),
        ("best version", f"{facts['best_individual']:.2%}"),
        ("mean of the versions", f"{facts['mean_individual']:.2%}"),
    ]
    print_table(("", "program"), rows, numbers=("program",))
    print_table(
        ("version", "right"),
        [(one["name"], f"{one['accuracy']:.2%}") for one in facts["versions"]],
        numbers=("right",),
    )
