"""``nversion datasets``: what there is, and whether it can be read."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nversion.cli import choices
from nversion.cli.options import DataDirOption, JsonOption

__all__ = ["datasets"]


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Load this one and describe it.",
            show_default=False,
            callback=choices.dataset,
        ),
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets, or load one (a name, an .npz file, a folder of images) and describe it.

    - `nversion datasets`

    - `nversion datasets mnist --data-dir data`
    """
    from nversion.datasets import load_dataset, names

    if name is None:
        typer.echo(json.dumps(names()) if as_json else "\n".join(names()))
        return
    data = load_dataset(name, root=data_dir)
    facts = {
        "name": data.name,
        "shape": list(data.shape),
        "classes": data.classes,
        "train": len(data.train),
        "test": len(data.test),
        "digest": data.digest,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        for key, value in facts.items():
            typer.echo(f"{key:8} {value}")
