"""``nversion train`` and ``nversion recipes``: versions without a study around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import (
    AddressOption,
    DataDirOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    WorkersOption,
    check_address,
)
from nversion.cli.printing import print_table

if TYPE_CHECKING:
    from nversion.versions.many import Outcome

__all__ = ["recipes", "train"]


def train(
    architectures: Annotated[
        list[str],
        typer.Argument(help="Architecture files, or names from the catalogue, or student."),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder that gets one folder per version.", file_okay=False)
    ],
    data: Annotated[
        str,
        typer.Option(
            help="A dataset's name, an .npz file or a folder of images.",
            callback=choices.dataset,
        ),
    ] = "digits",
    data_dir: DataDirOption = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="A recipe's name or file; see `nversion recipes`.",
            callback=choices.recipe,
        ),
    ] = "fast",
    seed: Annotated[int, typer.Option(min=0, help="Each version's seed is derived from it.")] = 0,
    precision: Annotated[
        str,
        typer.Option(
            help="auto, float32 or bfloat16, of the arithmetic of training.",
            callback=choices.one_of(*choices.PRECISIONS),
        ),
    ] = "auto",
    workers: WorkersOption = "auto",
    engine: EngineOption = "auto",
    address: AddressOption = "",
    device: DeviceOption = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Train one version of each architecture, several at the same time.

    - `nversion train student v001 v002 --data mnist --data-dir data --out versions`
    """
    check_address(address, engine)
    from nversion.architectures import find_architecture
    from nversion.datasets import load_dataset
    from nversion.versions import load_recipe, train_each
    from nversion.versions.training import check_precision
    from nversion.workers import Where

    where, chosen = Where.of(workers, engine, address, device), load_recipe(recipe)
    dataset = load_dataset(data, root=data_dir)
    found = [find_architecture(name, dataset.shape, dataset.classes) for name in architectures]
    trained = train_each(
        found,
        dataset,
        chosen,
        seed,
        where=where,
        device=device,
        precision=check_precision(precision),
    )
    rows = []
    for outcome in trained:
        if outcome.version is not None:
            outcome.version.save(out / outcome.name)
        rows.append(_row(outcome))
    order = {str(architecture.name): place for place, architecture in enumerate(found)}
    rows.sort(key=lambda row: order[row["name"]])
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_table(
            ("version", "train", "test", "parameters", "precision", "seconds"),
            [_cells(row) for row in rows],
        )
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


def _row(outcome: Outcome) -> dict[str, Any]:
    """Return what is said of one training, as JSON values."""
    if outcome.version is None:
        return {"name": outcome.name, "error": outcome.error}
    record = outcome.version.record
    return {
        "name": outcome.name,
        "train_accuracy": record.train_accuracy,
        "test_accuracy": record.test_accuracy,
        "parameters": record.parameters,
        "precision": record.precision,
        "seconds": record.seconds,
        "error": None,
    }


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["error"]:
        return row["name"], "failed", str(row["error"]), "", "", ""
    return (
        row["name"],
        f"{row['train_accuracy']:.2%}",
        f"{row['test_accuracy']:.2%}",
        f"{row['parameters']:,}",
        row["precision"],
        f"{row['seconds']:.1f}",
    )


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show one whole, as TOML.",
            show_default=False,
            callback=choices.recipe,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the recipes that versions can be trained with, or show one.

    A file of your own with the same keys is a recipe too.

    - `nversion recipes small`

    - `nversion study --recipe mine.toml`
    """
    import tomli_w

    from nversion.versions import load_recipe, recipe_names

    chosen = [load_recipe(name)] if name else [load_recipe(known) for known in recipe_names()]
    if as_json:
        typer.echo(json.dumps([recipe.model_dump() for recipe in chosen], indent=2))
    elif name:
        typer.echo(
            tomli_w.dumps(chosen[0].model_dump(exclude={"name"}, exclude_none=True)), nl=False
        )
    else:
        for recipe in chosen:
            typer.echo(
                f"{recipe.name:14} {recipe.optimiser}, {recipe.schedule}, {recipe.epochs} epochs, "
                f"batches of {recipe.batch_size}"
            )
