"""``nversion report``: write a study's report again from its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nversion.cli.places import check_study
from nversion.cli.printing import working
from nversion.errors import ArtefactError, InputError

__all__ = ["report"]


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="STUDY_FOLDER", help="A study's folder, with results.json.")
    ],
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Write page, figures, results.json and a README.md with the tables to this "
            "folder instead: what others need to see, without weights and images.",
        ),
    ] = None,
    insert: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PAGE",
            dir_okay=False,
            help="A Markdown page that shows results of published studies between markers, such as "
            "<!-- nversion: table FOLDER --> and <!-- nversion: end -->: write them anew. Can be "
            "given several times; without --publish nothing else is written.",
        ),
    ] = None,
    command: Annotated[
        str, typer.Option(help="With --publish: what made the study, for the README.")
    ] = "",
) -> None:
    """Write the report of a study again, from its results.json, and say where it is.

    - `nversion report studies/digits --open`

    - `nversion report studies/digits --publish results --command 'nversion study'`

    - `nversion report studies/digits --publish results --insert README.md`
    """
    check_study(folder)
    # Imported here: matplotlib takes a second that other commands need not wait for.
    from nversion.report import insert as insert_results
    from nversion.report import publish as publish_report
    from nversion.report import write_report
    from nversion.study.finished import open_study, with_replication
    from nversion.study.questions import with_answers

    source = folder / "results.json"
    opened = open_study(folder)
    results = with_answers(with_replication(opened.results, opened.folder))
    try:
        if publish is not None:
            with working("drawing ..."):
                readme = publish_report(results, publish, command)
            typer.echo(str(readme))
        for page in insert or ():
            insert_results(page)
            typer.echo(str(page))
        if publish is not None or insert:
            return
        with working("drawing ..."):
            page = write_report(results, folder / "report")
    except InputError as error:
        raise ArtefactError(f"{source}: holds numbers that cannot be: {error}") from error
    typer.echo(str(page))
    if show:
        typer.launch(page.resolve().as_uri())
