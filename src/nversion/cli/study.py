"""``nversion study``: one whole experiment, from nothing to its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nversion.cli.options import parse_setting

__all__ = ["study"]


def study(
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with any part of the configuration.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The study's folder. [default: studies/NAME]", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, mnist, fashion-mnist, kmnist, an .npz file or a folder of images. "
            "[default: digits]",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the dataset's files are; else NVERSION_DATA, else they are downloaded.",
            show_default=False,
        ),
    ] = None,
    versions: Annotated[
        int | None,
        typer.Option(min=1, help="How many versions. [default: 10]", show_default=False),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="How they are trained; see `nversion recipes`. [default: small for digits, "
            "else fast]",
            show_default=False,
        ),
    ] = None,
    attacks: Annotated[
        str | None,
        typer.Option(help="Attacks, separated by commas.", show_default=False),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Attacked images per version. [default: 13]", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Everything random comes from it. [default: 7]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            help="Processes, or auto for one per core. [default: auto]",
            show_default=False,
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other key, e.g. --set program.voter=majority; may be repeated.",
            show_default=False,
        ),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print what would run, as TOML, and stop.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json on standard output at the end.")
    ] = False,
) -> None:
    """Run a whole study and write its report.

    Versions are trained, attacked, made into a program that votes, distilled into one student, and
    the student is certified and compared with its baseline. Interrupt it at any time; the same
    command goes on where it stopped.

    Examples:
    nversion study

    nversion study --data mnist --data-dir data --versions 10 --recipe fast

    nversion study --config study.toml --workers 4
    """
    from nversion.study.config import config_text, load_config, make_config

    values = load_config(config) if config else {}
    flags = {
        "dataset": data,
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "seed": seed,
        "versions.count": versions,
        "versions.recipe": recipe,
        "attacks.names": attacks.replace(" ", "").split(",") if attacks else None,
        "attacks.images": images,
        "run.workers": workers,
    }
    for key, value in flags.items():
        if value is not None:
            _put(values, key, value)
    for text in setting or []:
        _put(values, *parse_setting(text))
    source = str(config) if config else "the configuration"
    resolved = make_config(values, source)
    if show_config:
        typer.echo(config_text(resolved), nl=False)
        return
    _run(resolved, out or Path("studies") / resolved.name, as_json)


def _run(config: Any, folder: Path, as_json: bool) -> None:
    import json

    from nversion.report import write_report
    from nversion.study import run_study

    def say(message: str) -> None:
        typer.echo(message, err=True)

    results = run_study(config, folder, say=say)
    page = write_report(results, folder / "report")
    say("")
    for question in results["questions"]:
        say(f"{question['question']}\n  {question['answer']}")
    say(f"\nreport: {page}")
    if as_json:
        json.dump(results, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    if results["study"]["failures"]:
        raise typer.Exit(1)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(f"{section} is not a section of the configuration")
        values = inner
    values[last] = value
