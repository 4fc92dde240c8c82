"""``nversion inject``: what a vote makes of faulty versions, planted on purpose."""

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
    QuorumOption,
    TrustOption,
    data_option,
    voter_option,
)
from nversion.cli.places import picture_file, save_picture
from nversion.cli.printing import print_table
from nversion.cli.programs import voting_from
from nversion.cli.versions import check_version, confirmed, load_versions

if TYPE_CHECKING:
    from nversion.program.campaigns.injecting import InjectionReport

__all__ = ["inject"]


def inject(
    versions: Annotated[
        list[Path], typer.Argument(metavar="VERSIONS...", help="Folders or files of versions.")
    ],
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("they")] = None,
    k: KOption = None,
    faults: Annotated[
        str,
        typer.Option(
            callback=choices.injections,
            help=f"Faults with commas between, or all: {', '.join(choices.INJECTIONS)}.",
        ),
    ] = "all",
    into: Annotated[
        str | None,
        typer.Option(
            help="Names of the versions that become faulty, one after the other, with commas "
            "between. [default: all, in an order that is drawn]",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            min=0, help="The largest number of faulty versions. [default: all]", show_default=False
        ),
    ] = None,
    flips: Annotated[int, typer.Option(min=1, help="Bits to flip in a version's weights.")] = 10,
    quorum: QuorumOption = None,
    screen: Annotated[
        bool, typer.Option(help="Look for constant versions on the first 200 images.")
    ] = True,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="What a version may take before it counts as hanging.")
    ] = 5.0,
    images: FirstImagesOption = 1000,
    seed: Annotated[int, typer.Option(help="Of the order, the constant classes and the bits.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw what becomes of the verdicts, by the number of faulty versions: a file that "
            "ends in .png, .svg or .pdf.",
            show_default=False,
        ),
    ] = None,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Plant faults into 0, 1, 2, ... versions and count what the vote gets right.

    Crashes and hangs happen in processes of their own; the others in this one. The versions'
    folders are not touched.

    - `nversion inject versions/v* --voter majority --images 200`

    - `nversion inject versions/v* --faults bit-flips --flips 100 --into v002,v012 --json`

    - `nversion inject a.onnx b.onnx c.onnx --data mnist --figure faults.svg`
    """
    for folder in versions:
        check_version(folder)
    if figure is not None:
        picture_file(figure, "--figure")
    from nversion.program.campaigns.injecting import Plan, inject_faults
    from nversion.program.isolation import Isolation

    voting = voting_from(versions, inputs, voter, k)
    if voting.weights is not None or voting.abstain is not None:
        typer.echo(
            f"note: {versions[0]} has weights, or withholds verdicts; here all versions count "
            "alike, and the voter alone abstains",
            err=True,
        )
    found = load_versions(versions, inputs, trust=trust)
    dataset = test_images_of(list(found.values()), data, data_dir)
    found = confirmed(found, dataset)
    names = [part.strip() for part in (into or "").split(",") if part.strip()]
    plan = Plan(
        tuple(faults.split(",")), names, most, flips, seed, screen, Isolation(seconds=seconds)
    )
    report = inject_faults(
        {name: one.model for name, one in found.items()},
        voting.voter,
        *first_test_images(dataset, images),
        plan,
        quorum or voting.quorum,
    )
    if figure is not None:
        _draw(figure, report)
    if as_json:
        facts = {"dataset": dataset.name, "versions": list(found)}
        typer.echo(json.dumps({**facts, **report.to_json()}, indent=2))
    else:
        _print(dataset.name, len(found), report)


def _draw(path: Path, report: InjectionReport) -> None:
    from nversion.report.figures.drawing import house_style
    from nversion.report.figures.plots_faults import faults

    with house_style():
        save_picture(faults(report).figure, path)


def _print(dataset: str, versions: int, report: InjectionReport) -> None:
    typer.echo(
        f"program of {versions} ({report.voter}, quorum {report.quorum}) on {report.images} test "
        f"images of {dataset}"
    )
    heads = ("fault", "faulty", "voted out", "right", "wrong", "abstained", "other verdict")
    rows = [
        (
            row.kind,
            str(len(row.faulty)),
            str(len(row.voted_out)),
            *(f"{n / report.images:.2%}" for n in (row.right, row.wrong, row.abstained)),
            str(row.changed),
        )
        for row in report.rows
    ]
    print_table(heads, rows, numbers=heads[1:])
