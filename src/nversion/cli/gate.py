"""``nversion gate``: hold a study's results against requirements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli.places import check_study
from nversion.cli.printing import print_table
from nversion.errors import InputError

if TYPE_CHECKING:
    from nversion.evidence import Requirement

__all__ = ["gate"]


def gate(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="A study's folder, with results.json.")
    ],
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REQUIREMENT",
            help="A dotted key of results.json, >=, <=, >, < or ==, and a value; may be repeated.",
            show_default=False,
        ),
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option(
            help="A file with more of them, one a line; # begins a comment.",
            show_default=False,
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(
            help="Write the judgements as JUnit XML to this file, too.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a study's results against requirements; exit code 1 where one fails.

    Lists are entered by name or place, from 0. What was not measured never passes.

    - `nversion gate studies/digits --require 'program.accuracy>=0.9'`

    - `nversion gate studies/digits --require 'attacks.deepfool.median_l2>=0.5' --junit gate.xml`
    """
    check_study(folder)
    from nversion.evidence import judge
    from nversion.evidence.junit import to_junit
    from nversion.files import write_text
    from nversion.study.finished import open_study

    wanted = _wanted(require or [], requirements)
    study = open_study(folder)
    judgements = judge(study.values, wanted)
    if junit is not None:
        write_text(junit, to_junit(judgements, study.results.study.name or folder.name))
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in judgements], indent=2, ensure_ascii=False))
    else:
        rows = [
            [str(one.requirement), one.reason, "passed" if one.passed else "FAILED"]
            for one in judgements
        ]
        print_table(["required", "found", ""], rows)
    if not all(one.passed for one in judgements):
        raise typer.Exit(1)


def _wanted(texts: list[str], file: Path | None) -> list[Requirement]:
    """Return all requirements that were given."""
    from nversion.evidence.requirements import Requirement, requirements_in
    from nversion.reading import read_text

    wanted = [Requirement.parse(text) for text in texts]
    if file is not None:
        try:
            wanted += requirements_in(read_text(file, error=InputError))
        except InputError as error:
            raise InputError(f"{file}: {error}") from None
    if not wanted:
        raise InputError(
            "nothing is required; give --require, as in --require 'program.accuracy>=0.9', or "
            "--requirements FILE"
        )
    return wanted
