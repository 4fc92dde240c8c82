"""``nversion evidence``: a study's results as evidence, in a form that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nversion.cli import choices
from nversion.cli.places import check_study

__all__ = ["evidence"]


def evidence(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="A study's folder, with results.json.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            callback=choices.one_of(*choices.FORMS),
            help=f"The form: {', '.join(choices.FORMS)}.",
        ),
    ] = "json",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write. [default: standard output]",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Write what a study showed, and what it did not, as evidence for others.

    Weights and data by their SHA-256, threat models, each number with its interval and method,
    results image by image, and limits.

    - `nversion evidence studies/digits --as json --out evidence.json`

    - `nversion evidence studies/digits --as cyclonedx`
    """
    check_study(folder)
    from nversion.evidence.forms import FORMS
    from nversion.evidence.gather import gather
    from nversion.files import write_text
    from nversion.study.finished import open_study

    text = FORMS[form](gather(open_study(folder)))
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        typer.echo(str(out))
