"""``nversion vote``: how often a program of several versions is right, beside each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli.options import (
    DataDirOption,
    JsonOption,
    KOption,
    check_version,
    data_option,
    first_test_images,
    load_versions,
    test_images_of,
    voter_from,
    voter_option,
)
from nversion.cli.printing import print_table

if TYPE_CHECKING:
    from nversion.program.campaigns.voting import VoteCount

__all__ = ["vote"]


def vote(
    versions: Annotated[
        list[Path], typer.Argument(metavar="VERSIONS...", help="Folders of versions.")
    ],
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("they")] = None,
    k: KOption = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, help="The first test images, so many. [default: all]", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let versions vote on the test images, and count how often they are right.

    An abstention is counted by itself, and as not right. The agreement is the share of versions
    whose own class is the verdict, in the mean over the images.

    - `nversion vote versions/v001 versions/v002 versions/v003`

    - `nversion vote versions/v* --voter k-of-n --k 2 --json`
    """
    for folder in versions:
        check_version(folder)
    from nversion.program.campaigns.voting import count_votes

    chosen = voter_from(voter, k)
    found = load_versions(versions)
    dataset = test_images_of(list(found.values()), data, data_dir)
    networks = {name: one.model for name, one in found.items()}
    count = count_votes(networks, chosen, *first_test_images(dataset, images))
    if as_json:
        typer.echo(json.dumps({"dataset": dataset.name, **count.to_json()}, indent=2))
    else:
        _print(dataset.name, count)


def _print(dataset: str, count: VoteCount) -> None:
    images = len(count.labels)
    k = "" if count.k is None else f", k={count.k}"
    typer.echo(
        f"program of {len(count.versions)} ({count.voter.name}{k}) on {images} test images of "
        f"{dataset}: {count.accuracy:.2%} right"
    )
    rows = [
        ("wrong", f"{count.wrong / images:.2%}"),
        ("abstained", f"{count.abstentions / images:.2%}"),
        ("agreement with the verdict", f"{count.agreement:.2%}"),
        ("unanimous", f"{count.unanimous:.2%}"),
        ("best version", f"{count.best_individual:.2%}"),
        ("mean of the versions", f"{count.mean_individual:.2%}"),
    ]
    print_table(("", "program"), rows, numbers=("program",))
    print_table(
        ("version", "right"),
        [(name, f"{accuracy:.2%}") for name, accuracy in count.versions.items()],
        numbers=("right",),
    )
