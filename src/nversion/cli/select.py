"""``nversion select``: the smallest program that is as good as all versions together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.diversity import OnOption
from nversion.cli.options import DataDirOption, InputOption, JsonOption, TrustOption, data_option
from nversion.cli.places import picture_file
from nversion.cli.printing import print_table, working
from nversion.cli.sources import (
    SourcesArgument,
    check_sources,
    is_table,
    read_sources,
)
from nversion.cli.versions import load_versions, with_their_classes
from nversion.errors import InputError

if TYPE_CHECKING:
    from nversion.selection import Choice, Contributions, Criterion, WhiteBox
    from nversion.tables import Table
    from nversion.versions import Version

__all__ = ["select"]

ORDERS = 200
"""Random orders that a picture shows the band of."""

CRITERIA = ("accuracy", "coincident-failures", "white-box")
SEARCHES = ("greedy", "beam", "exact")


@dataclasses.dataclass(frozen=True)
class _Judged:
    """A choice, and how accurate it is on images that it was not chosen on."""

    choice: Choice
    names: Sequence[str]
    chosen_on: str
    judged_on: str
    accuracy: float
    full_accuracy: float
    best_accuracy: float
    contributions: Contributions | None
    weights: Sequence[float] | None

    def to_json(self) -> dict[str, Any]:
        return {
            **self.choice.to_json(self.names),
            "chosen_on": self.chosen_on,
            "judged_on": self.judged_on,
            "accuracy": self.accuracy,
            "full_accuracy": self.full_accuracy,
            "best_accuracy": self.best_accuracy,
            "contributions": None
            if self.contributions is None
            else {"names": list(self.names), **self.contributions.to_json()},
            "weights": None
            if self.weights is None
            else dict(zip(self.names, self.weights, strict=True)),
        }


def select(
    sources: SourcesArgument,
    criterion: Annotated[
        str,
        typer.Option(
            callback=choices.one_of(*CRITERIA),
            help="What to choose by: the accuracy of their vote; how rarely two fail together "
            "(coincident-failures); how far an attacker must go who knows the program, as its "
            "linearised vote predicts on training images (white-box).",
        ),
    ] = "accuracy",
    search: Annotated[
        str, typer.Option(callback=choices.one_of(*SEARCHES), help="greedy, beam or exact.")
    ] = "greedy",
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Exactly so many versions. [default: the fewest that are as good as all]",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="By how much the score may be below that of all.")
    ] = 0.0,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="For a table: another one, of the same versions on other images, to judge the "
            "choice on. [default: choose on one half of the images, judge on the other]",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="For white-box: how many training images to choose on.")
    ] = 150,
    weights: Annotated[
        bool, typer.Option("--weights", help="For white-box: fit weights of the chosen as well.")
    ] = False,
    contributions: Annotated[
        int,
        typer.Option(
            help="Orders to sample for what each version contributes (Shapley); 0 for none."
        ),
    ] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw the vote as versions are added, as they were chosen, best first, as given "
            "and at random, on the images that the choice is judged on: a file that ends in .png, "
            ".svg or .pdf.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    on: OnOption = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose the fewest versions whose vote is as good as that of all.

    What is chosen on some images is judged on others.

    - `nversion select versions/* --tolerance 0.001`

    - `nversion select held-out.npz --judge test.npz --search beam`

    - `nversion select versions/* --criterion white-box --size 10 --weights`
    """
    check_sources(sources)
    if figure is not None:
        picture_file(figure, "--figure")
    white = criterion == "white-box"
    if weights and not white:
        raise InputError("--weights: only the criterion white-box fits weights; leave it out")
    if white and is_table(sources[0]):
        raise InputError("--criterion white-box needs networks; name folders of versions")
    if judge is not None and not (is_table(sources[0]) and is_table(judge)):
        raise InputError("--judge names a table, for a table to choose on")
    if contributions == 1 or contributions < 0:
        raise InputError(f"--contributions must be 0, or 2 and more, not {contributions}")
    table = read_sources(sources, data, data_dir, on, inputs=inputs, trust=trust)
    if white:
        versions = load_versions(sources, inputs, trust=trust)
        chosen_by: Criterion = _white_box(versions, data, data_dir, images, seed)
        chosen_on, other = f"{images} training images", table
    else:
        part, other = _parts(table, judge, seed)
        chosen_by = _criterion(criterion, part)
        chosen_on = f"{len(part.labels):,} images of {part.source}"
    with working("choosing ..."):
        judged = _judge(chosen_by, other, search, tolerance, size, contributions, seed)
    judged = dataclasses.replace(judged, chosen_on=chosen_on)
    if weights:
        judged = dataclasses.replace(judged, weights=_weights(chosen_by, judged.choice))
    if figure is not None:
        _draw(figure, judged.choice, other)
    if as_json:
        typer.echo(json.dumps(judged.to_json(), indent=2))
    else:
        _print(judged)


def _criterion(name: str, table: Table) -> Criterion:
    from nversion.selection import Accuracy, Coincidence

    if name == "accuracy":
        return Accuracy(table.outputs, table.labels)
    return Coincidence(table.answers.wrong)


def _parts(table: Table, judge: Path | None, seed: int) -> tuple[Table, Table]:
    """Return what to choose on, and what to judge on."""
    from nversion.tables import read_table

    if judge is None:
        import numpy as np

        from nversion.randomness import numpy_generator

        count = len(table.labels)
        if count < 2:
            raise InputError(f"{table.source}: one image cannot be parted in two halves")
        order = numpy_generator("select", seed).permutation(count)
        return table.of(np.sort(order[: count // 2])), table.of(np.sort(order[count // 2 :]))
    other = read_table(judge)
    if other.names != table.names:
        raise InputError(
            f"{judge}: must be of the same versions in the same order, {', '.join(table.names)}; "
            f"it has {', '.join(other.names)}"
        )
    return table, other


def _white_box(
    found: Mapping[str, Version], data: str | None, data_dir: Path | None, images: int, seed: int
) -> WhiteBox:
    from nversion.cli.images import dataset_of
    from nversion.program.white_box import white_box
    from nversion.randomness import generator

    whole = dataset_of(list(found.values()), data, data_dir)
    train, versions = whole.train, list(with_their_classes(found, whole).values())
    import torch

    order = torch.randperm(len(train), generator=generator("white-box", seed))[:images]
    models = [version.model for version in versions]
    return white_box(models, train.images[order], train.labels[order])


def _judge(
    criterion: Criterion,
    other: Table,
    search: str,
    tolerance: float,
    size: int | None,
    orders: int,
    seed: int,
) -> _Judged:
    from nversion.selection import SEARCHES as SEARCH
    from nversion.selection import Accuracy, contributions, smallest

    if size is not None and size > criterion.versions:
        raise InputError(f"--size must be at most the {criterion.versions} versions, not {size}")
    if size is None:
        choice = smallest(criterion, search=search, tolerance=tolerance)
    else:
        choice = SEARCH[search](criterion, size)
    accuracy = Accuracy(other.outputs, other.labels)
    alone = accuracy.extensions(())
    return _Judged(
        choice,
        other.names,
        "",
        f"{len(other.labels):,} images of {other.source}",
        accuracy.score(choice.members),
        accuracy.score(range(accuracy.versions)),
        float(alone.max()),
        contributions(criterion, orders, seed) if orders else None,
        None,
    )


def _weights(criterion: Criterion, choice: Choice) -> list[float]:
    from nversion.selection import WhiteBox, fit_weights

    assert isinstance(criterion, WhiteBox)
    return [float(one) for one in fit_weights(criterion, size=len(choice.members))]


def _draw(path: Path, choice: Choice, other: Table) -> None:
    """Draw the accuracy of the chosen beside other orders."""
    from nversion.cli.places import save_picture
    from nversion.report.figures import plots_selection
    from nversion.report.figures.drawing import house_style
    from nversion.selection import Accuracy, best_first, in_order, random_orders

    accuracy = Accuracy(other.outputs, other.labels)
    curves = {
        f"chosen by {choice.criterion}": [accuracy.score(members) for members, _ in choice.path],
        "best first, on these images": best_first(accuracy)[1].tolist(),
        "in the given order": in_order(accuracy).tolist(),
    }
    with house_style():
        drawing = plots_selection.orders(curves, random_orders(accuracy, ORDERS))
        save_picture(drawing.figure, path)


def _print(judged: _Judged) -> None:
    choice = judged.choice
    typer.echo(
        f"{len(choice.members)} of {len(judged.names)} versions, by {choice.criterion} "
        f"({choice.search}) on {judged.chosen_on}"
    )
    print_table(
        ("versions", "added", "score"),
        [
            (str(len(members)), judged.names[members[-1]], f"{score:.5g}")
            for members, score in choice.path[: len(choice.members)]
        ],
        numbers=("versions", "score"),
    )
    typer.echo(f"score of all {len(judged.names)} versions: {choice.full:.5g}")
    print_table(
        (f"on {judged.judged_on}", "right"),
        [
            ("the chosen", f"{judged.accuracy:.2%}"),
            ("all versions", f"{judged.full_accuracy:.2%}"),
            ("the best version", f"{judged.best_accuracy:.2%}"),
        ],
        numbers=("right",),
    )
    if judged.contributions is not None:
        found = judged.contributions
        rows = sorted(
            zip(found.values.tolist(), found.errors.tolist(), judged.names, strict=True),
            reverse=True,
        )
        print_table(
            ("version", "contributes", "standard error"),
            [(name, f"{value:.5f}", f"{error:.5f}") for value, error, name in rows],
            numbers=("contributes", "standard error"),
        )
    if judged.weights is not None:
        print_table(
            ("version", "weight"),
            [
                (name, f"{weight:.4f}")
                for name, weight in zip(judged.names, judged.weights, strict=True)
                if weight > 0
            ],
            numbers=("weight",),
        )
