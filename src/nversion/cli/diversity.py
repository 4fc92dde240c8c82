"""``nversion diversity``: how differently versions fail, and whether they fail together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import DataDirOption, InputOption, JsonOption, TrustOption, data_option
from nversion.cli.places import picture_file
from nversion.cli.printing import print_table, working
from nversion.cli.sources import SourcesArgument, check_sources, read_sources

if TYPE_CHECKING:
    from nversion.measures import Diversity
    from nversion.reliability import CoincidentFailures, Growth
    from nversion.report.figures.drawing import Drawing
    from nversion.tables import Table

__all__ = ["OnOption", "diversity"]

ORDERS = 200
"""Random orders that a picture of a vote's growth shows the band of."""

DRAWN = ("heat-map", "histogram", "growth")

WORDS: Mapping[str, str] = {
    "q": "Q statistic",
    "correlation": "correlation of failures",
    "disagreement": "disagreement",
    "double_fault": "double fault",
    "kappa": "kappa",
    "entropy": "entropy",
    "kohavi_wolpert": "Kohavi-Wolpert variance",
    "interrater_kappa": "interrater kappa",
    "difficulty": "difficulty",
    "generalised": "generalised diversity",
    "coincident_failure": "coincident failure diversity",
}
"""What the measures are called, the five of pairs first."""

OnOption = Annotated[
    str,
    typer.Option(
        callback=choices.one_of("test", "adversarial"),
        help="Of a study: its test images, or its adversarial set.",
    ),
]


def diversity(
    sources: SourcesArgument,
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    on: OnOption = "test",
    resamples: Annotated[
        int, typer.Option(min=0, help="Samples of the images for 95 % intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw a picture: a file that ends in .png, .svg or .pdf.", show_default=False
        ),
    ] = None,
    draw: Annotated[
        str,
        typer.Option(
            callback=choices.one_of(*DRAWN),
            help="What it shows: heat-map, how each pair fails together; histogram, on how many "
            "images how many versions fail, beside independence; growth, the accuracy of a vote "
            "of n versions.",
        ),
    ] = "heat-map",
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how differently versions fail, and whether they fail together.

    Measures of pairs are means over all pairs. Abstentions count as not right. Where a measure
    divides by zero, it is undefined.

    - `nversion diversity versions/*`

    - `nversion diversity study --on adversarial --figure pairs.svg`

    - `nversion diversity outputs.csv --json`
    """
    check_sources(sources)
    if figure is not None:
        picture_file(figure, "--figure")
    table = read_sources(sources, data, data_dir, on, inputs=inputs, trust=trust)
    from nversion.measures import diversity as measure
    from nversion.reliability import coincident_failures, plurality_growth

    answers = table.answers
    with working("measuring ..."):
        measures = measure(table.outputs, table.labels, resamples=resamples, seed=seed)
        failures = coincident_failures(answers.wrong, answers.labels)
        growth = plurality_growth(
            answers.predictions, answers.labels, resamples=resamples, seed=seed
        )
        if figure is not None:
            _draw(figure, draw, table, measures, failures, growth)
    if as_json:
        typer.echo(json.dumps(_facts(table, measures, failures, growth), indent=2))
    else:
        _print(table, measures, failures, growth)


def _facts(
    table: Table, measures: Diversity, failures: CoincidentFailures, growth: Growth
) -> dict[str, Any]:
    return {
        "source": table.source,
        "names": list(table.names),
        "classes": list(table.classes),
        "diversity": measures.to_json(),
        "coincident_failures": failures.to_json(),
        "plurality": growth.to_json(),
    }


def _print(table: Table, measures: Diversity, failures: CoincidentFailures, growth: Growth) -> None:
    typer.echo(f"{measures.versions} versions on {measures.images:,} images of {table.source}")
    if measures.abstentions.any():
        typer.echo(f"{measures.abstentions.sum():,} answers are abstentions, counted as not right")
    sampled = measures.sampling.resamples > 0
    rows = []
    for name, words in WORDS.items():
        row = [words, _number(measures.mean(name))]
        if sampled:
            low, high = measures.interval(name)
            row.append("" if low != low else f"{_number(low)} to {_number(high)}")
        rows.append(row)
    heads = ("measure", "value", "95 % interval")[: 3 if sampled else 2]
    print_table(heads, rows, numbers=heads[1:])
    print_table(("failures", ""), _failure_rows(failures), numbers=("",))
    print_table(
        ("versions fail on", "images", "if independent"),
        _histogram_rows(failures),
        numbers=("images", "if independent"),
    )
    shown = sorted({1, 3, 5, 7, 9, 15, 25, 51, 75, measures.versions})
    counted = [n for n in shown if n <= measures.versions]
    print_table(
        ("votes of", "expected right"),
        [(str(n), f"{growth.right[n - 1]:.2%}") for n in counted],
        numbers=("votes of", "expected right"),
    )
    typer.echo(
        f"{growth.enough(0.001)} versions taken at random are as accurate as all "
        f"{measures.versions} within 0.1 % (plurality; a tie is no verdict)"
    )


def _failure_rows(failures: CoincidentFailures) -> list[tuple[str, str]]:
    rows = [
        ("images on which two versions or more fail", f"{failures.coincidences:,}"),
        ("expected if they failed independently", f"{failures.expected_coincidences:,.2f}"),
        ("z of Knight and Leveson's test", _number(failures.knight_leveson_z)),
        ("z within classes", _number(failures.within_classes_z)),
        ("variance of failures over independence's", _number(failures.dispersion)),
        ("correlation of failures (Eckhardt and Lee)", _number(failures.correlation)),
        ("effective number of versions", _number(failures.effective_versions)),
    ]
    fit = failures.beta_binomial
    if fit is not None:
        said = "fits" if fit.usable else "rejected" if fit.rejected else "not testable"
        p_value = f" (p = {fit.p_value:.2g})" if fit.freedom else ""
        rows.append(("beta-binomial", f"{said}{p_value}"))
    return rows


def _histogram_rows(failures: CoincidentFailures) -> list[tuple[str, str, str]]:
    """Return the numbers of failing versions that occur, or would on half an image."""
    expected = failures.images * failures.independent
    return [
        (str(number), f"{images:,}", f"{wanted:,.2f}")
        for number, (images, wanted) in enumerate(
            zip(failures.histogram.tolist(), expected.tolist(), strict=True)
        )
        if images or wanted >= 0.5
    ]


def _draw(
    path: Path,
    what: str,
    table: Table,
    measures: Diversity,
    failures: CoincidentFailures,
    growth: Growth,
) -> None:
    from nversion.cli.places import save_picture
    from nversion.report.figures import plots_reliability as plots
    from nversion.report.figures.drawing import house_style

    with house_style():
        if what == "heat-map":
            drawing = plots.heat_map(measures.correlation, table.names, WORDS["correlation"])
        elif what == "histogram":
            drawing = plots.failures_histogram(failures)
        else:
            drawing = _growth(table, growth)
        save_picture(drawing.figure, path)


def _growth(table: Table, predicted: Growth) -> Drawing:
    """Draw the expected plurality beside that of the given order, and of random ones."""
    from nversion.report.figures import plots_reliability as plots
    from nversion.selection import Accuracy, in_order, random_orders

    criterion = Accuracy(table.outputs, table.labels, "plurality")
    band = random_orders(criterion, ORDERS)
    return plots.growth(
        predicted,
        measured=in_order(criterion).tolist(),
        low=band.low.tolist(),
        high=band.high.tolist(),
    )


def _number(value: float) -> str:
    return "undefined" if value != value else f"{value:.4g}"
