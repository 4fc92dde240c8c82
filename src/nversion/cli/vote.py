"""``nversion vote``: how often a program of several versions is right, beside each of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.images import dataset_of, first_test_images, test_images_of
from nversion.cli.options import (
    DataDirOption,
    InputOption,
    JsonOption,
    KOption,
    QuorumOption,
    TrustOption,
    data_option,
    voter_option,
)
from nversion.cli.printing import print_table
from nversion.cli.programs import voting_from
from nversion.cli.sources import check_sources, is_table, read_sources
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.cli.voters import voters_option
from nversion.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nversion.datasets import TestImages
    from nversion.program.campaigns.voting import VoteCount
    from nversion.program.voting import Voting

__all__ = ["vote"]

PROBES = 200
"""Test images by which constant versions are found."""


def vote(
    versions: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERSIONS...",
            help="Folders of versions, files of networks, or a table of labels and outputs (.npz, "
            ".csv, .parquet).",
        ),
    ],
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("they")] = None,
    k: KOption = None,
    weights: Annotated[
        str | None,
        typer.Option(
            callback=choices.weights,
            help="One number for each version, with commas between; or how to fit them on the "
            "last training images: log-odds (for votes) or likelihood (for probabilities). "
            "[default: equal]",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        int, typer.Option(min=1, help="How many of the last training images weights are fitted on.")
    ] = 1000,
    abstain: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE=THRESHOLD",
            callback=choices.abstention,
            help="Withhold verdicts whose agreement or margin is below, or whose entropy is above, "
            "a threshold, such as margin=0.2. [default: as the voter has it]",
            show_default=False,
        ),
    ] = None,
    quorum: QuorumOption = None,
    isolate: Annotated[
        bool, typer.Option("--isolate", help="Give each version a process of its own.")
    ] = False,
    screen: Annotated[
        bool,
        typer.Option(help="Vote out versions that name one class for the first 200 test images."),
    ] = True,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, help="The first test images, so many. [default: all]", show_default=False
        ),
    ] = None,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    _voters: Annotated[bool, voters_option()] = False,
) -> None:
    """Let versions vote on the test images, and count how often they are right.

    An abstention is counted by itself, and as not right. The agreement is the share of versions
    whose own class is the verdict, in the mean over the images. The area is that under the curve of
    accuracy by coverage, of the measure of the abstention, or else of the margin.

    - `nversion vote versions/v001 versions/v002 versions/v003`

    - `nversion vote versions/v* --voter k-of-n --k 2 --json`

    - `nversion vote versions/v* --voter plurality --weights log-odds --abstain agreement=0.8`

    - `nversion vote outputs.csv --voter majority`
    """
    asked = _Asked(
        *(data, data_dir, voter, k, images, weights, held_out, abstain, quorum, isolate, screen),
        tuple(inputs or ()),
        trust,
    )
    count_them = _count_table if is_table(versions[0]) else _count_versions
    source, classes, count = count_them(versions, asked)
    if as_json:
        facts = {"dataset": source, "classes": classes, **count.to_json()}
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(source, count)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """The options of the command, as they were given."""

    data: str | None
    data_dir: Path | None
    voter: str | None
    k: int | None
    images: int | None
    weights: str | None
    held_out: int
    abstain: str | None
    quorum: int | None
    isolate: bool
    screen: bool
    inputs: tuple[str, ...]
    trust: bool

    def numbers(self) -> list[float] | None:
        """Return the weights that were given as numbers."""
        if self.weights is None or self.weights in choices.WEIGHTINGS:
            return None
        return [float(part) for part in self.weights.split(",")]

    def chosen(self, paths: list[Path], name: str | None) -> Voting:
        """Return how they vote; weights are refused where the voter takes none."""
        found = voting_from(paths, self.inputs, name, self.k)
        if self.weights is not None and not found.voter.weighted:
            raise InputError(
                f"--weights: {found.voter.name} counts all versions alike; leave it out"
            )
        return found


def _count_versions(versions: list[Path], asked: _Asked) -> tuple[str, list[str], VoteCount]:
    """Return the images' name, those of their classes, and the vote of networks on them."""
    for folder in versions:
        check_version(folder)
    from nversion.program.abstention import create_abstention
    from nversion.program.campaigns.voting import count_votes

    chosen, abstention = asked.chosen(versions, asked.voter), create_abstention(asked.abstain)
    found = load_versions(versions, asked.inputs, trust=asked.trust)
    dataset = test_images_of(list(found.values()), asked.data, asked.data_dir)
    found = confirmed(found, dataset)
    networks = {name: one.model for name, one in found.items()}
    given: Sequence[float] | Tensor | None = asked.numbers()
    if asked.weights is None:
        given = chosen.weights
    elif given is None:
        whole = dataset_of(list(found.values()), asked.data, asked.data_dir)
        train, held_out = whole.train, asked.held_out
        given = _fitted(networks, train.images, train.labels, held_out, asked.weights)
    return (
        dataset.name,
        list(dataset.class_names),
        count_votes(
            networks,
            chosen.voter,
            *first_test_images(dataset, asked.images),
            weights=given,
            abstain=abstention or chosen.abstain,
            quorum=asked.quorum or chosen.quorum,
            isolate="processes" if asked.isolate else None,
            probes=_probes(dataset) if asked.screen and len(found) > 2 else None,
        ),
    )


def _count_table(paths: list[Path], asked: _Asked) -> tuple[str, list[str], VoteCount]:
    """Return the table's name, those of its classes, and the vote over what is in it."""
    check_sources(paths)
    if asked.weights is not None and asked.numbers() is None:
        raise InputError(
            "--weights: a table has no training images to fit them on; give one number a version"
        )
    table = read_sources(paths, asked.data, asked.data_dir)
    from nversion.program.abstention import create_abstention
    from nversion.program.campaigns.table_votes import count_stored_votes

    answers = table.answers.of(slice(0, asked.images))
    chosen = asked.chosen(paths, asked.voter or ("majority" if answers.scores is None else None))
    return (
        table.source,
        list(table.classes),
        count_stored_votes(
            table.names,
            answers,
            chosen.voter,
            table.probabilities,
            weights=asked.numbers(),
            abstain=create_abstention(asked.abstain),
        ),
    )


def _probes(dataset: TestImages) -> tuple[Tensor, Tensor] | None:
    """Return images, and their classes, by which constant versions are found; None of one class."""
    images, labels = first_test_images(dataset, PROBES)
    return (images, labels) if bool((labels != labels[0]).any()) else None


def _fitted(
    networks: dict[str, nn.Module], images: Tensor, labels: Tensor, held_out: int, by: str
) -> Tensor:
    """Return weights that fit the last training images; say what that asks of them."""
    from nversion.program import Program, fit_weights

    taken = min(held_out, len(images))
    typer.echo(
        f"note: weights are fitted on the last {taken:,} training images; what versions have "
        "learnt by heart flatters them there, so train them without these",
        err=True,
    )
    outputs = Program(list(networks.values())).outputs(images[-taken:])
    return fit_weights(outputs, labels[-taken:], by)


def _print(dataset: str, count: VoteCount) -> None:
    images = len(count.labels)
    k = "" if count.k is None else f", k={count.k}"
    typer.echo(
        f"program of {len(count.versions)} ({count.voter.name}{k}) on {images} test images of "
        f"{dataset}: {count.accuracy:.2%} right"
    )
    rules = count.verdict.rules
    for fault in count.verdict.faults:
        name = list(count.versions)[fault.version]
        typer.echo(
            f"note: {name} was voted out on {int(fault.images.sum())} of {images} images: it "
            f"{fault.reason}",
            err=True,
        )
    typer.echo(f"ties: {rules.ties}; abstains {rules.abstention}")
    rows = [
        ("wrong", f"{count.wrong / images:.2%}"),
        ("abstained", f"{count.abstentions / images:.2%}"),
        ("right of those decided", _percent(count.accuracy_of_covered)),
        (f"area under accuracy by coverage ({count.curve.by})", f"{count.curve.area:.4f}"),
        ("agreement with the verdict", f"{count.agreement:.2%}"),
        ("unanimous", f"{count.unanimous:.2%}"),
        ("best version", f"{count.best_individual:.2%}"),
        ("mean of the versions", f"{count.mean_individual:.2%}"),
    ]
    print_table(("", "program"), rows, numbers=("program",))
    versions = [(name, f"{accuracy:.2%}") for name, accuracy in count.versions.items()]
    if count.weights is None:
        print_table(("version", "right"), versions, numbers=("right",))
        return
    weighed = zip(versions, count.weights, strict=True)
    print_table(
        ("version", "right", "weight"),
        [(*version, f"{weight:.3g}") for version, weight in weighed],
        numbers=("right", "weight"),
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.2%}"
