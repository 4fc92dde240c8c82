"""``nversion study``: one whole experiment, from nothing to its report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import InputOption, TrustOption
from nversion.cli.printing import print_table, size, span, stage_times
from nversion.cli.settings import check_settings
from nversion.cli.versions import check_version
from nversion.errors import ConfigError

if TYPE_CHECKING:
    from nversion.study.config import StudyConfig

__all__ = ["study"]


def study(
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with any part of the configuration.",
            show_default=False,
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The study's folder. [default: studies/NAME]",
            show_default=False,
            file_okay=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            callback=choices.dataset,
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
            exists=True,
            file_okay=False,
        ),
    ] = None,
    versions: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many versions are trained. [default: 10; with --file, none]",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="A network from elsewhere that is a version too: a file (.onnx, .keras, .pt2, "
            "...) or a version's folder; may be repeated.",
            show_default=False,
        ),
    ] = None,
    inputs: InputOption = None,
    trust: TrustOption = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            callback=choices.recipe,
            help="How they are trained; see `nversion recipes`. [default: small for digits, "
            "else fast]",
            show_default=False,
        ),
    ] = None,
    attacks: Annotated[
        str | None,
        typer.Option(
            help="Attacks, separated by commas.",
            show_default=False,
            callback=choices.attack_names,
        ),
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
            callback=choices.workers,
            help="How many, or auto for one per core. [default: auto]",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            callback=choices.one_of(*choices.ENGINES),
            help="What runs them: processes of this machine, threads of this process, ray, or "
            "auto for threads with a graphics card and processes without. [default: auto]",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of a running Ray cluster; without it Ray starts on this machine.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            callback=choices.one_of(*choices.DEVICES),
            help="Where networks compute: cpu, cuda, or auto for cuda if there is a card. "
            "[default: cpu]",
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
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Print units of work, time, memory and disk (estimated), and stop."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print results.json, or the plan, on standard output."),
    ] = False,
) -> None:
    """Run a whole study and write its report.

    Versions are trained, attacked, made into a program that votes, distilled into one student, and
    the student is certified and compared with its baseline. Interrupt it at any time; the same
    command goes on where it stopped.

    - `nversion study`

    - `nversion study --data mnist --data-dir data --versions 10 --recipe fast`

    - `nversion study --config study.toml --workers 4`

    - `nversion study --data mnist --versions 100 --plan`

    - `nversion study --data mnist --file a.onnx --file b.keras --input b.keras:range=0:255`
    """
    settings = check_settings(setting or [])
    for path in file or ():
        check_version(path)
    if versions == 0 and not file and config is None:
        raise ConfigError("--versions: must be at least 1, or --file must name some")
    from nversion.study.config import config_text

    flags = {
        ("--data", "dataset"): data,
        ("--data-dir", "data_dir"): str(data_dir.resolve()) if data_dir else None,
        ("--seed", "seed"): seed,
        ("--versions", "versions.count"): versions,
        ("--file", "versions.files"): [str(path) for path in file] if file else None,
        ("--input", "versions.inputs"): inputs or None,
        ("--trust", "versions.trust"): True if trust else None,
        ("--recipe", "versions.recipe"): recipe,
        ("--attacks", "attacks.names"): attacks and _names(attacks),
        ("--images", "attacks.images"): images,
        ("--workers", "run.workers"): workers,
        ("--engine", "run.engine"): engine,
        ("--address", "run.address"): address,
        ("--device", "run.device"): device,
    }
    resolved = _resolved(config, flags, settings)
    if show_config:
        typer.echo(config_text(resolved), nl=False)
        return
    folder = out or Path("studies") / resolved.name
    if plan:
        _plan(resolved, folder, as_json)
    else:
        _run(resolved, folder, as_json)


def _resolved(
    file: Path | None,
    flags: Mapping[tuple[str, str], Any],
    settings: Sequence[tuple[str, Any]],
) -> StudyConfig:
    """Return the configuration of a file, with what was said on the command line put over it.

    Args:
        file: with any part of the configuration; None for none.
        flags: values by option and by the key that it sets; None where it was not given.
        settings: keys and values of every ``--set``.
    """
    from nversion.study.config import load_config, make_config, seen_from

    values = seen_from(load_config(file), file.parent, Path()) if file else {}
    given = [(option, key, value) for (option, key), value in flags.items() if value is not None]
    given += [(f"--set {key}", key, value) for key, value in settings]
    for option, key, value in given:
        _put(values, key, value, option)
    origins = {key: option for option, key, _ in given}
    return make_config(values, str(file or "the configuration"), origins)


def _plan(config: StudyConfig, folder: Path, as_json: bool) -> None:
    import json

    from nversion.study.planning.plan import plan_study

    if not as_json:
        typer.echo("measuring for a quarter of a minute ...", err=True)
    plan = plan_study(config, folder)
    if as_json:
        typer.echo(json.dumps(plan.to_json(), indent=2))
        return
    rows = [
        [stage.name, f"{stage.units:,}", f"{stage.done:,}", span(stage.seconds),
         span(stage.wall_seconds)]
        for stage in plan.stages
    ]  # fmt: skip
    units, done = (sum(getattr(stage, what) for stage in plan.stages) for what in ("units", "done"))
    heads = ["stage", "units", "done", "one core", f"{plan.workers} workers"]
    seconds = sum(stage.seconds for stage in plan.stages)
    total = ["all", f"{units:,}", f"{done:,}", span(seconds), span(plan.wall_seconds)]
    print_table(heads, rows, numbers=heads[1:], total=total)
    typer.echo(f"adversarial set: about {plan.images:,} images")
    typer.echo(f"memory: about {size(plan.memory)}, all processes together")
    typer.echo(f"disk: about {size(plan.disk)} in {folder}")
    if plan.at_least:
        typer.echo(f"cut short while measuring, so longer than that: {', '.join(plan.at_least)}")


def _run(config: StudyConfig, folder: Path, as_json: bool) -> None:
    import json

    from nversion.report import write_report
    from nversion.study import run_study

    def say(message: str) -> None:
        typer.echo(message, err=True)

    results = run_study(config, folder, say=say)
    page = write_report(results, folder / "report")
    say("")
    for asked in results.questions:
        say(f"{asked.question}\n  {asked.answer}\n  Rule: {asked.rule}")
    say("\n" + stage_times(results.study.wall_seconds, results.study.discarded_seconds or 0.0))
    say(f"\nreport: {page}")
    if as_json:
        json.dump(results.to_json(), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    if results.study.failures:
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    from nversion.attacks import names

    return names() if text.strip() == "all" else [part.strip() for part in text.split(",")]


def _put(values: dict[str, Any], key: str, value: Any, option: str) -> None:
    *sections, last = key.split(".")
    for place, section in enumerate(sections, start=1):
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(
                f"{option}: {'.'.join(sections[:place])} is {inner!r}, and no section with keys"
            )
        values = inner
    values[last] = value
