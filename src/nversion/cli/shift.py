"""``nversion shift``: votes on spoiled images, and on images of unknown classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.images import first_test_images, test_images_of
from nversion.cli.options import DataDirOption, JsonOption, data_option
from nversion.cli.printing import print_table
from nversion.cli.versions import check_version, load_versions
from nversion.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nversion.program.campaigns.shifting import ShiftReport, VotedOn

__all__ = ["shift"]


def shift(
    versions: Annotated[
        list[Path], typer.Argument(metavar="VERSIONS...", help="Folders of versions.")
    ],
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voters: Annotated[
        str,
        typer.Option(callback=choices.voters, help="Names of voters with commas between, or all."),
    ] = "all",
    kinds: Annotated[
        str,
        typer.Option(
            callback=choices.corruptions,
            help=f"Corruptions with commas between, all or none: {', '.join(choices.CORRUPTIONS)}.",
        ),
    ] = "all",
    unknown: Annotated[
        str | None,
        typer.Option(
            callback=choices.dataset,
            help="Images of classes that no version knows: a dataset's name, an .npz file or a "
            "folder of images.",
            show_default=False,
        ),
    ] = None,
    unknown_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where their files are.", show_default=False, exists=True, file_okay=False
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            callback=choices.one_of(*choices.CONFIDENCES),
            help="What verdicts are withheld by: agreement, margin or entropy.",
        ),
    ] = "margin",
    coverage: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="The share of clean images that is to keep a verdict."),
    ] = 0.95,
    images: Annotated[
        int, typer.Option(min=1, help="The first test images, so many of each kind.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the corruptions.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Let versions vote on spoiled images (severities 1 to 5), and on images of unknown classes.

    The threshold of each voter's abstention is set on the clean images, and then left alone. Of
    unknown classes no verdict is right; what is wanted is little coverage.

    - `nversion shift versions/v* --images 200`

    - `nversion shift versions/v* --kinds none --unknown fashion-mnist --voters majority,borda`
    """
    for folder in versions:
        check_version(folder)
    from nversion.datasets import load_test_images
    from nversion.program import create_voter, voter_names
    from nversion.program.campaigns.shifting import measure_shift

    found = load_versions(versions)
    dataset = test_images_of(list(found.values()), data, data_dir)
    strangers: Tensor | None = None
    if unknown is not None:
        other = load_test_images(unknown, unknown_dir or data_dir)
        if tuple(other.shape) != tuple(dataset.shape):
            raise InputError(
                f"--unknown {unknown}: images of {list(other.shape)}, but the versions take "
                f"{list(dataset.shape)}, [channels, height, width]"
            )
        strangers, _ = first_test_images(other, images)
    names = voter_names() if voters == "all" else voters.split(",")
    chosen = {"all": choices.CORRUPTIONS, "none": ()}.get(kinds, tuple(kinds.split(",")))
    report = measure_shift(
        [one.model for one in found.values()],
        {name: create_voter(name) for name in names},
        *first_test_images(dataset, images),
        kinds=chosen,
        unknown=strangers,
        by=by,
        wanted=coverage,
        seed=seed,
    )
    if as_json:
        facts = {"dataset": dataset.name, "unknown": unknown, "versions": list(found)}
        typer.echo(json.dumps({**facts, **report.to_json()}, indent=2))
    else:
        _print(dataset.name, len(found), report, chosen)


def _print(dataset: str, versions: int, report: ShiftReport, kinds: tuple[str, ...]) -> None:
    first = report.rows[0]
    typer.echo(
        f"program of {versions} on {first.images} test images of {dataset}; verdicts are withheld "
        f"by {report.by} so that {report.wanted:.0%} of the clean ones keep theirs"
    )
    for voter in report.thresholds:
        rows = [row for row in report.rows if row.voter == voter]
        print_table(
            (voter, "right", "covered", "right of those", "area", "clean is surer"),
            [_row(row) for row in rows],
            numbers=("right", "covered", "right of those", "area", "clean is surer"),
        )


def _row(row: VotedOn) -> tuple[str, ...]:
    condition = row.condition
    of_those = row.accuracy_of_covered
    return (
        f"{condition.kind} {condition.severity or ''}".strip(),
        f"{row.accuracy:.2%}",
        f"{row.coverage:.2%}",
        "none" if of_those is None else f"{of_those:.2%}",
        f"{row.area:.4f}",
        f"{row.separation:.3f}",
    )
