"""``nversion diversify``: what buys diversity, tried one thing at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.options import (
    AddressOption,
    DataDirOption,
    EngineOption,
    JsonOption,
    WorkersOption,
    check_address,
)
from nversion.cli.places import picture_file
from nversion.cli.printing import print_table
from nversion.errors import InputError, StudyError

if TYPE_CHECKING:
    from nversion.diversification import Diversification, Measured

__all__ = ["diversify"]

SOURCES = (
    *("seed", "architecture", "bootstrap", "disjoint", "transformation"),
    *("recipe", "objective", "everything"),
)


def _sources(param: typer.CallbackParam, value: str) -> str:
    """Check the names of sources with commas between, or "all"."""
    names = [part.strip() for part in value.split(",") if part.strip()]
    if names == ["all"]:
        return ",".join(SOURCES)
    check = choices.one_of(*SOURCES)
    for name in names:
        check(param, name)
    if not names or len(set(names)) < len(names):
        raise InputError("--sources: name one at least, and none twice")
    return ",".join(names)


def diversify(
    architectures: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCHITECTURES...",
            help="Names from the catalogue, or files, as many as there are to be versions of each "
            "source. All other sources have the first one.",
        ),
    ],
    data: Annotated[
        str, typer.Option(callback=choices.dataset, help="A dataset's name or path.")
    ] = "digits",
    data_dir: DataDirOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            callback=choices.recipe,
            help="A recipe's name or file. [default: small for digits, else fast]",
            show_default=False,
        ),
    ] = None,
    sources: Annotated[
        str,
        typer.Option(
            callback=_sources,
            help=f"What versions are to differ in, by commas: {', '.join(SOURCES)}; or all.",
        ),
    ] = "all",
    out: Annotated[
        Path, typer.Option(help="The folder that is filled; what is there is kept.")
    ] = Path("diversification"),
    attacked: Annotated[
        int, typer.Option(min=1, help="Test images for gradients and predicted distances.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Decides all that is drawn.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw a picture: a file that ends in .png, .svg or .pdf.", show_default=False
        ),
    ] = None,
    workers: WorkersOption = "auto",
    engine: EngineOption = "auto",
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Train versions that differ in one thing alone, and measure what diversity it buys.

    Every source makes as many versions: of other seeds, architectures, samples or disjoint parts
    of the training images, changes of these images, recipes, or objectives; "everything" is all of
    these but the parts and the objectives at once. Trained versions are kept, and
    diversification.json is written after each source; the same command goes on where it stopped.

    - `nversion diversify v035 v003 v007 v006 v016 --data mnist --data-dir data --recipe fast`
    """
    check_address(address, engine)
    if figure is not None:
        picture_file(figure, "--figure")
    from nversion.architectures import find_architecture
    from nversion.datasets import load_dataset
    from nversion.diversification import Basis, Settings
    from nversion.diversification import diversify as run
    from nversion.versions import load_recipe
    from nversion.workers import Where

    where = Where.of(workers, engine, address, "cpu")
    dataset = load_dataset(data, root=data_dir)
    found = tuple(find_architecture(name, dataset.shape, dataset.classes) for name in architectures)
    chosen = load_recipe(recipe or ("small" if data == "digits" else "fast"))
    settings = Settings(Basis(found, chosen, seed), tuple(sources.split(",")), attacked)
    result = run(settings, dataset, out, where=where, say=lambda line: typer.echo(line, err=True))
    if figure is not None and result.measured:
        _draw(figure, result)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        _print(result)
    if result.failures:
        raise StudyError(
            f"{len(result.failures)} versions could not be trained: {result.failures[0]}"
        )


def _draw(path: Path, result: Diversification) -> None:
    from nversion.cli.places import save_picture
    from nversion.report.figures.drawing import house_style
    from nversion.report.figures.plots_diversification import diversification

    with house_style():
        save_picture(diversification(result).figure, path)


def _print(result: Diversification) -> None:
    heads = (
        *("source", "mean", "best", "vote", "over the mean", "over the best", "correlation"),
        *("two or more fail", "if independent", "worth", "cosine", "distance", "of the vote"),
    )
    print_table(heads, [_row(one) for one in result.measured], numbers=heads[1:])
    typer.echo(
        "gains in points and correlation of failures with 95 % intervals over test images; worth "
        "is the effective number of versions; cosine that of the versions' gradients; distances "
        "of the nearest error are predicted, in L2, of the single versions and of their mean logits"
    )


def _row(one: Measured) -> tuple[str, ...]:
    return (
        one.source,
        f"{one.mean:.2%}",
        f"{one.best:.2%}",
        f"{one.vote:.2%}",
        _three(*one.gain_over_mean, scale=100.0),
        _three(*one.gain_over_best, scale=100.0),
        _three(*one.measures["correlation"]),
        f"{one.coincidences:,}",
        f"{one.expected_coincidences:,.1f}",
        "" if one.effective_versions is None else f"{one.effective_versions:.2f}",
        "" if one.cosine is None else f"{one.cosine:.2f}",
        f"{one.distance_mean:.2f}",
        f"{one.distance_vote:.2f}",
    )


def _three(
    value: float | None, low: float | None, high: float | None, *, scale: float = 1.0
) -> str:
    if value is None or low is None or high is None:
        return "undefined"
    return f"{scale * value:+.2f} ({scale * low:+.2f} to {scale * high:+.2f})"
