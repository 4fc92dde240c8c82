"""``nversion distil``: students and baselines again and again, and what tells them apart."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.options import (
    AddressOption,
    DataDirOption,
    EngineOption,
    JsonOption,
    TrustOption,
    WorkersOption,
    check_address,
)
from nversion.cli.printing import print_table
from nversion.errors import StudyError

if TYPE_CHECKING:
    from nversion.replication import Contrast, Cost, Replication, ReplicationFolder

__all__ = ["distil"]


def distil(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="A study, whose versions teach.")
    ],
    objectives: Annotated[
        str,
        typer.Option(
            help="Arms, by commas: label-smoothing, squared-error, one-teacher, vote, "
            "vote-temperature, or an objective's name. The true labels are always there."
        ),
    ] = "label-smoothing,squared-error,one-teacher,vote",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs: networks of each arm.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(help="Where it is kept; by default replication in the study's folder."),
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="An architecture file, a name from the catalogue, or student.")
    ] = "student",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A recipe's name or file; by default the study's.",
            show_default=False,
            callback=choices.recipe,
        ),
    ] = None,
    radius_images: Annotated[int, typer.Option(min=0, help="Images that are certified.")] = 50,
    box_images: Annotated[
        int, typer.Option(min=0, help="Images that are certified for valid images, which is dear.")
    ] = 50,
    attack_images: Annotated[int, typer.Option(min=0, help="Images that are attacked.")] = 50,
    attacks: Annotated[
        str, typer.Option(help="Attacks of the adversarial frequency, by commas.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Decides all that is drawn.")] = 0,
    publish: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Write a README.md with the tables, figure, data and numbers to this folder too.",
            show_default=False,
        ),
    ] = None,
    command: Annotated[
        str, typer.Option(help="With --publish: what made it, for the README.")
    ] = "",
    trust: TrustOption = False,
    data_dir: DataDirOption = None,
    workers: WorkersOption = "auto",
    engine: EngineOption = "auto",
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Train students and baselines many times from a study's versions, and compare them.

    Within a pair all networks have the same weights at first and see the images in the same order;
    the versions that teach are drawn anew for every pair. What is finished is kept; the same
    command goes on where it stopped.

    - `nversion distil studies/digits --repeats 10`
    - `nversion distil studies/digits --objectives squared-error,vote --repeats 29`
    """
    check_address(address, engine)
    from nversion.replication import (
        DEFAULT_ATTACKS,
        Costed,
        ReplicationFolder,
        Settings,
        find_arm,
        keep_costs,
        replicate,
    )
    from nversion.replication.teachers import study_teachers
    from nversion.workers import Where

    where = Where.of(workers, engine, address, "cpu")
    teachers = study_teachers(study, data_dir, architecture, recipe or "", trust=trust)
    arms = dict.fromkeys(["labels", *_listed(objectives)])
    settings = Settings(
        tuple(find_arm(name) for name in arms),
        repeats,
        teachers.architecture,
        teachers.recipe,
        seed,
        teachers.voter,
        radius_images,
        attack_images,
        _listed(attacks) or DEFAULT_ATTACKS,
        box_images,
    )
    folder = ReplicationFolder(out or study / "replication")
    result = replicate(
        settings,
        teachers.data,
        teachers.versions,
        folder.root,
        adversarial=teachers.adversarial,
        where=where,
    )
    data = teachers.data
    whose = Costed(
        teachers.versions, teachers.voter, teachers.architecture, data.shape, data.classes
    )
    costs = keep_costs(whose, folder.costs)
    drawn = _draw(folder)
    if publish is not None:
        _publish(folder, publish, command, drawn)
    if as_json:
        told = [dataclasses.asdict(cost) for cost in costs]
        typer.echo(json.dumps({**result.to_json(), "costs": told}, indent=2))
    else:
        _print(result)
        _print_costs(costs)
        typer.echo(f"numbers: {folder.summary}")
        if drawn:
            typer.echo(f"every pair: {folder.figure}")
        if publish is not None:
            typer.echo(f"to read: {publish / 'README.md'}")
    if result.failures:
        raise StudyError(f"{len(result.failures)} networks failed: {result.failures[0]}")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _draw(folder: ReplicationFolder) -> bool:
    """Draw the pairs, with their data beside; say whether there is anything to draw."""
    from nversion.cli.printing import working
    from nversion.files import write_text
    from nversion.report.figures.data import figure_csv
    from nversion.report.figures.drawing import house_style
    from nversion.report.figures.plots_replication import pairs
    from nversion.study.sections import Replicated

    found = Replicated.found(folder)
    with working("drawing ..."), house_style():
        drawing = None if found is None else pairs(found)
    if drawing is None:
        return False
    write_text(folder.figure, drawing.svg)
    write_text(folder.figure.with_suffix(".csv"), figure_csv(drawing))
    return True


def _publish(folder: ReplicationFolder, out: Path, command: str, drawn: bool) -> None:
    """Write what others need of a replication to a folder."""
    from nversion.files import write_json, write_text
    from nversion.report.markdown import render_replication
    from nversion.study.sections import Replicated

    found = Replicated.found(folder)
    assert found is not None
    if drawn:
        for path in (folder.figure, folder.figure.with_suffix(".csv")):
            write_text(out / path.name, path.read_text("utf-8"))
    write_json(out / folder.summary.name, found.to_json())
    figure = folder.figure.name if drawn else ""
    write_text(out / "README.md", render_replication(found, command, figure))


def _print(result: Replication) -> None:
    from nversion.replication import ROWS

    arms = [arm for arm in result.means if result.means[arm]]
    print_table(
        ("", *arms),
        [
            (name, *(_mean(result, arm, row) for arm in arms))
            for row, name in ROWS.items()
            if any(row in result.means[arm] for arm in arms)
        ],
        numbers=arms,
    )
    heads = ("arms", "row", "difference", "95 %", "above", "effect", "p (Holm)", "verdict")
    print_table(heads, [_cells(item) for item in result.contrasts], numbers=heads[2:7])
    for sentence in result.to_json()["sentences"]:
        typer.echo(sentence)
    for text in result.diverged:
        typer.echo(f"left out, it did not learn: {text}")


def _print_costs(costs: Sequence[Cost]) -> None:
    heads = ("asked", "parameters", "multiply-adds", "one image, ms", "a hundred, ms")
    rows = [
        (
            cost.name,
            f"{cost.parameters:,}",
            f"{cost.multiply_adds:,}",
            f"{1e3 * cost.one_seconds:.2f}",
            f"{1e3 * cost.batch_seconds:.1f}",
        )
        for cost in costs
    ]
    print_table(heads, rows, numbers=heads[1:])
    typer.echo(
        "processor time of one thread, the median of several calls after one that does not count"
    )


def _mean(result: Replication, arm: str, row: str) -> str:
    mean = result.means[arm].get(row)
    return "" if mean is None else f"{mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}]"


def _cells(item: Contrast) -> tuple[str, ...]:
    from nversion.replication import ROWS

    return (
        f"{item.first} - {item.second}",
        ROWS[item.row],
        _signed(item.difference),
        f"[{_signed(item.low)}, {_signed(item.high)}]",
        f"{item.above:.2f} [{item.above_low:.2f}, {item.above_high:.2f}]",
        "" if item.effect is None else f"{item.effect:+.2f}",
        "" if item.p_holm is None else f"{item.p_holm:.4f}",
        item.verdict,
    )


def _signed(value: float) -> str:
    """Write a difference with its sign; what is 0 as written has a plus."""
    return f"{round(value, 4) + 0.0:+.4f}"
