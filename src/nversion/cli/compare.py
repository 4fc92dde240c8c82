"""``nversion compare``: studies side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli.places import check_study
from nversion.cli.printing import print_table
from nversion.errors import InputError

if TYPE_CHECKING:
    from nversion.comparison import Compared

__all__ = ["compare"]

LONGEST = 60
"""Characters of a verdict or a setting on the terminal; the page and the JSON have all."""


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY_FOLDER...",
            help="Two studies' folders or more; others are compared with the first.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with all of it to this file, too.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show studies side by side: settings that differ, numbers, verdicts that changed.

    A study that is run again with other settings keeps its former report in report/former, which
    can be compared like a study.

    - `nversion compare studies/digits studies/digits/report/former/*`

    - `nversion compare studies/digits studies/mnist --out page.html`
    """
    if len(folders) < 2:
        raise InputError("a comparison takes the folders of two studies or more")
    names = _names(folders)
    for folder in folders:
        check_study(folder)
    from nversion.comparison import compare as compare_studies
    from nversion.comparison.page import page
    from nversion.files import write_text
    from nversion.study.finished import open_study

    compared = compare_studies(
        {name: open_study(folder) for name, folder in zip(names, folders, strict=True)}
    )
    if out is not None:
        write_text(out, page(compared))
    if as_json:
        typer.echo(json.dumps(compared.to_json(), indent=2, ensure_ascii=False))
    else:
        _show(compared)
        if out is not None:
            typer.echo(f"page: {out}")


def _names(folders: Sequence[Path]) -> list[str]:
    """Return what to call the studies: as much of each path as tells them apart."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise InputError(f"{twice}: the same study is named twice")
    names: list[str] = []
    for path in paths:
        others = [other for other in paths if other != path]
        length = next(
            length
            for length in range(1, len(path.parts) + 1)
            if all(other.parts[-length:] != path.parts[-length:] for other in others)
        )
        names.append("/".join(path.parts[-length:]))
    return names


def _show(compared: Compared) -> None:
    """Print what differs, as three tables."""
    from nversion.comparison.page import change_text, value_text

    names = list(compared.names)
    typer.echo(f"settings that differ: {len(compared.settings) or 'none'}")
    if compared.settings:
        rows = [[row.key, *map(_short, row.values)] for row in compared.settings]
        print_table(["setting", *names], rows)
    typer.echo("numbers, and their differences from the first study:")
    changes = [f"{name} less {names[0]}" for name in names[1:]]
    lines = []
    for row in compared.numbers:
        known = next(metric for metric in row.metrics if metric is not None)
        values = [value_text(metric)[0] for metric in row.metrics]
        told = []
        for one in row.differences:
            value, interval = change_text(known, one)
            mark = "" if one is None or not one.clear else " *"
            told.append(f"{value} ({interval}){mark}" if interval else value)
        name = f"{row.name}; {row.method}" if row.method else row.name
        lines.append([row.subject, name, *values, *told])
    print_table(["of", "number", *names, *changes], lines, numbers=[*names, *changes])
    typer.echo("* the interval of the difference leaves out zero, as if studies were independent")
    typer.echo(f"verdicts that changed: {len(compared.changed)} of {len(compared.verdicts)}")
    if compared.changed:
        rows = [[_short(row.name), *map(_short, row.verdicts)] for row in compared.changed]
        print_table(["judged", *names], rows)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
