"""All commands in one table of contents."""

from __future__ import annotations

from typing import Annotated

import typer

from nversion import __version__
from nversion.cli import (
    adversarial,
    architectures,
    attack,
    certify,
    compare,
    datasets,
    distil,
    diversify,
    diversity,
    doctor,
    evidence,
    export,
    gate,
    inject,
    report,
    select,
    shift,
    study,
    train,
    vote,
)

__all__ = ["app"]

app = typer.Typer(
    help=(
        "N-version programming for neural networks: train diverse versions, attack them, let them "
        "vote, distil the vote into one network, and certify it."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHOLE, PARTS, MATERIAL = "The whole experiment", "Its parts", "What it is made of"

app.command("study", rich_help_panel=WHOLE)(study.study)
app.command("report", rich_help_panel=WHOLE)(report.report)
app.command("compare", rich_help_panel=WHOLE)(compare.compare)
app.command("evidence", rich_help_panel=WHOLE)(evidence.evidence)
app.command("gate", rich_help_panel=WHOLE)(gate.gate)
app.command("train", rich_help_panel=PARTS)(train.train)
app.command("attack", rich_help_panel=PARTS)(attack.attack)
app.command("doctor", rich_help_panel=PARTS)(doctor.doctor)
app.add_typer(adversarial.app, name="adversarial", rich_help_panel=PARTS)
app.command("distil", rich_help_panel=PARTS)(distil.distil)
app.command("vote", rich_help_panel=PARTS)(vote.vote)
app.command("shift", rich_help_panel=PARTS)(shift.shift)
app.command("diversity", rich_help_panel=PARTS)(diversity.diversity)
app.command("diversify", rich_help_panel=PARTS)(diversify.diversify)
app.command("select", rich_help_panel=PARTS)(select.select)
app.command("inject", rich_help_panel=PARTS)(inject.inject)
app.command("certify", rich_help_panel=PARTS)(certify.certify)
app.command("export", rich_help_panel=PARTS)(export.export)
app.add_typer(architectures.app, name="architectures", rich_help_panel=MATERIAL)
app.command("datasets", rich_help_panel=MATERIAL)(datasets.datasets)
app.command("recipes", rich_help_panel=MATERIAL)(train.recipes)
app.command("attacks", rich_help_panel=MATERIAL)(attack.attacks)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nversion {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Hold the options of the program itself."""
