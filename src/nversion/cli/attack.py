"""``nversion attack`` and ``nversion attacks``: one test image under attack, and what there is."""

from __future__ import annotations

import inspect
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.images import test_images_of
from nversion.cli.options import (
    DataDirOption,
    InputOption,
    JsonOption,
    KOption,
    TrustOption,
    attack_setting_option,
    data_option,
    voter_option,
)
from nversion.cli.places import picture_file, save_picture
from nversion.cli.printing import print_table, working
from nversion.cli.programs import is_several
from nversion.cli.settings import attacks_from, attacks_of_norm, check_settings
from nversion.cli.targets import Labelled, check_targetable, target_from
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.cli.voters import attacked
from nversion.errors import InputError
from nversion.norms import norm_name

if TYPE_CHECKING:
    from torch import Tensor

    from nversion.adversarial import ImageTrial, Measured
    from nversion.attacks import Attack
    from nversion.datasets import TestImages

__all__ = ["attack", "attacks"]

HEADS = (
    *("attack", "success", "before", "after", "L0", "L1", "L2", "Linf", "SSIM"),
    *("forwards", "backwards", "seconds"),
)


def attack(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODELS...",
            help="Folders of versions, or files of networks: one is a network, several are a "
            "program that votes.",
        ),
    ],
    names: Annotated[
        str | None,
        typer.Option(
            "--attack",
            help="Names, with commas between, or all. [default with --norm: nearest; of several "
            "versions in 2 or inf, all that is known against votes]",
            show_default=False,
            callback=choices.attack_names,
        ),
    ] = None,
    norm: Annotated[
        str | None,
        typer.Option(
            help="Make this norm small: 0, 1, 2 or inf; of all attacks, those that can.",
            show_default=False,
            callback=choices.distance,
        ),
    ] = None,
    index: Annotated[
        int, typer.Option(callback=choices.index, help="Which test image, counted from 0.")
    ] = 0,
    aim: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="CLASS",
            help="The class that the image is to be taken for: a number, a name, or a file that "
            "names one on a line for each test image. [default: any but its own]",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("several versions")] = None,
    k: KOption = None,
    setting: Annotated[list[str] | None, attack_setting_option(" See `nversion attacks`.")] = None,
    storable: Annotated[
        bool,
        typer.Option("--storable", help="Ask for images that stay adversarial in 8 bits a value."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="For attacks that draw at random.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The picture: .png, .svg or .pdf. [default: named after version, image and "
            "attacks]",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Whether to draw one.")
    ] = True,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Attack one test image, print what it took, and draw what came of it.

    The picture shows the original, the adversarial image and their difference, with both
    predictions; with several attacks, all of them in one grid. Exit code 1 if an attack broke down,
    or if the version gets the image wrong without any attack. An attack that does not succeed is a
    result.

    With `--target` a success is to be taken for that class; attacks that cannot aim refuse it.

    With several versions the attacks are on their vote. With --norm 2 or inf alone, all that is
    known against votes is tried, and the nearest image printed with what found it: where the
    verdict is lost, and where a wrong one is given, if the vote may abstain. Attacks by name need a
    gradient, which whole votes (majority, k-of-n) lack; there they are on the versions' mean
    softmax.

    - `nversion attack versions/v001 --norm 1`

    - `nversion attack versions/v001 --attack deepfool --index 3`

    - `nversion attack versions/v001 --norm 2 --index 3 --target 5`

    - `nversion attack versions/v001 --attack all --data mnist --data-dir data --out all.png`

    - `nversion attack versions/v001 --attack random-pgd --set epsilon=0.1 --json`

    - `nversion attack versions/v001 versions/v002 versions/v003 --voter majority --norm inf`
    """
    if out is not None:
        picture_file(out, "--out")
    for folder in models:
        check_version(folder)
    settings, kind = setting or [], None if norm is None else norm_name(norm)
    check_settings(settings)
    if names is None and norm is None:
        raise InputError(
            "name attacks with --attack, or with --norm (0, 1, 2 or inf) the norm of the nearest"
        )
    several = is_several(models, inputs)
    whole = names is None and aim is None and several and kind in ("l2", "linf")
    if whole and (setting or storable):
        raise InputError(
            "--set and --storable are for attacks by name; add --attack, or leave them out"
        )
    from nversion.adversarial import try_attacks, try_program

    versions = load_versions(models, inputs, trust=trust)
    dataset = test_images_of(list(versions.values()), data, data_dir)
    versions = confirmed(versions, dataset)
    subject, name, facts = attacked(versions, models, voter, k)
    chosen = {} if whole else _chosen(names or "nearest", settings, kind)
    image, label = _test_image(dataset, index)
    target = None
    if aim is not None:
        check_targetable(chosen)
        classes = max(version.record.classes for version in versions.values())
        target = target_from(aim, Labelled.of(dataset, index, classes))
    if whole:
        with working("attacking the vote"):
            trial = try_program(subject, image, label, str(norm), seed=seed)
    else:
        trial = try_attacks(
            subject, chosen, image, label, target=target, seed=seed, storable=storable
        )
    where = f"{name} on test image {index} of {dataset.name}"
    place = None
    if picture and trial.ran:
        short = name if len(versions) == 1 else f"program-of-{len(versions)}"
        place = out or _default_file(short, index, [*chosen] or [f"vote-{norm}"])
        save_picture(trial.picture(where), place)
    if as_json:
        facts = {
            **facts,
            "dataset": dataset.name,
            "index": index,
            "classes": list(dataset.class_names),
            **trial.to_json(),
            "picture": None if place is None else str(place),
        }
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(where, trial, place, dataset.class_names)
    if trial.already_misclassified or trial.failures:
        raise typer.Exit(1)


def _chosen(names: str, settings: Sequence[str], kind: str | None) -> dict[str, Attack]:
    """Return the attacks by name, those of a norm where one is asked for."""
    if kind is None:
        return attacks_from(names, settings)
    return attacks_of_norm(names, settings, kind)


def _test_image(data: TestImages, index: int) -> tuple[Tensor, int]:
    """Return one test image [channels, height, width] and its label."""
    last = len(data.test) - 1
    if not 0 <= index <= last:
        raise InputError(f"--index must lie between 0 and {last} in {data.name}, not {index}")
    return data.test.images[index], int(data.test.labels[index])


def _default_file(version: str, index: int, chosen: Sequence[str]) -> Path:
    what = chosen[0] if len(chosen) == 1 else f"{len(chosen)}-attacks"
    return Path(f"{version}-test{index}-{what.replace(':', '-')}.png")


def _print(where: str, trial: ImageTrial, picture: Path | None, names: Sequence[str]) -> None:
    label, prediction = (_named(one, names) for one in (trial.label, trial.prediction))
    if trial.already_misclassified:
        typer.echo(
            f"{where}: a {label}, taken for {prediction} without any attack; "
            "there is nothing to attack, name another --index"
        )
        return
    aimed = "" if trial.target is None else f", aimed at {_named(trial.target, names)}"
    typer.echo(f"{where}: a {label}, taken for {prediction}{aimed}")
    if trial.ran:
        rows = [
            _cells(name, one, prediction, _named(one.prediction, names))
            for name, one in trial.ran.items()
        ]
        print_table(HEADS, rows, numbers=HEADS[2:])
        for one in trial.trials:
            if one.options.get("found_by"):
                typer.echo(f"{one.name}: found by {one.options['found_by']}")
    for name, error in trial.failures.items():
        typer.echo(f"{name} broke down: {error}", err=True)
    if picture is not None:
        typer.echo(f"picture: {picture}")


def _named(label: int, names: Sequence[str]) -> str:
    """Return what a class is called; its number where that is not known."""
    if label < 0:
        return "no class"
    return names[label] if label < len(names) else str(label)


def _cells(name: str, one: Measured, before: str, after: str) -> tuple[str, ...]:
    return (
        name,
        "yes" if one.success else "no",
        before,
        after,
        "-" if one.l0 is None else f"{one.l0:.0f}",
        *(_decimal(value) for value in (one.l1, one.l2, one.linf, one.ssim)),
        f"{one.forwards:,}",
        f"{one.backwards:,}",
        f"{one.seconds:.2f}",
    )


def _decimal(value: float | None) -> str:
    """Return a number with three digits that say something, and never fewer than three decimals."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 0.1:
        return f"{value:.3f}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"


def attacks(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Describe this one and its options.",
            show_default=False,
            callback=choices.attack_names,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the attacks with their options and defaults, or describe one.

    - `nversion attacks`

    - `nversion attacks deepfool`
    """
    from nversion.attacks import create
    from nversion.attacks import names as attack_names

    chosen = [create(name)] if name else [create(known) for known in attack_names()]
    if as_json:
        facts = [
            {
                "name": one.name,
                "norm": one.norm,
                "paper": one.paper or None,
                "targetable": one.targetable,
                "options": one.options(),
            }
            for one in chosen
        ]
        typer.echo(json.dumps(facts[0] if name else facts, indent=2))
    elif name:
        _describe(chosen[0])
    else:
        print_table(
            ("attack", "makes small", "can aim", "published in", "options and their defaults"),
            [
                (one.name, one.norm.capitalize(), _aims(one), one.paper, _options(one))
                for one in chosen
            ],
        )


def _aims(one: Attack) -> str:
    return "yes" if one.targetable else "no"


def _options(one: Attack) -> str:
    return ", ".join(f"{name}={value}" for name, value in one.options().items()) or "none"


def _describe(one: Attack) -> None:
    about = inspect.cleandoc(sys.modules[type(one).__module__].__doc__ or "")
    # The docstrings' cross-references mean nothing to somebody at a terminal.
    typer.echo(re.sub(r":\w+:`~?([^`]+)`", r"\1", about))
    typer.echo(
        "\nIt can aim at a class (--target)."
        if one.targetable
        else "\nIt cannot aim at a class: it takes no --target."
    )
    meanings = _meanings(type(one).__mro__)
    options = one.options()
    if options:
        print_table(
            ("option", "default", "what it is"),
            [(name, str(value), meanings.get(name, "")) for name, value in options.items()],
        )


def _meanings(classes: Sequence[type]) -> dict[str, str]:
    """Return what the docstrings of classes say about their attributes, the first class's first."""
    found: dict[str, str] = {}
    for cls in classes:
        _, _, block = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
        block = block.partition("\n\n")[0]
        for entry in re.split(r"\n(?=    \w)", "\n" + block):
            name, colon, meaning = entry.strip().partition(":")
            if colon:
                found.setdefault(name, " ".join(meaning.split()))
    return found
