"""``nversion attack`` and ``nversion attacks``: one test image under attack, and what there is."""

from __future__ import annotations

import inspect
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import (
    DataDirOption,
    attacks_from,
    check_settings,
    check_version,
    load_version,
    picture_file,
    save_picture,
    test_images_of,
)
from nversion.cli.printing import print_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from nversion.attacks import Attack
    from nversion.datasets import TestImages

__all__ = ["attack", "attacks"]

DISTANCES = ("l0", "l1", "l2", "linf")

HEADS = (
    *("attack", "success", "before", "after", "L0", "L1", "L2", "Linf", "SSIM"),
    *("forwards", "backwards", "seconds"),
)


def attack(
    model: Annotated[
        Path,
        typer.Argument(metavar="VERSION", help="The folder of a version."),
    ],
    names: Annotated[
        str,
        typer.Option(
            "--attack",
            help="Names, with commas between, or all.",
            callback=choices.attack_names,
        ),
    ],
    index: Annotated[
        int, typer.Option(callback=choices.index, help="Which test image, counted from 0.")
    ] = 0,
    data: Annotated[
        str | None,
        typer.Option(
            callback=choices.dataset,
            help="A dataset's name, an .npz file or a folder of images. [default: what the version "
            "was trained on]",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="An option of the attacks that have it, or with deepfool.steps=50 of one alone; "
            "may be repeated. See `nversion attacks`.",
            show_default=False,
        ),
    ] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Attack one test image, print what it took, and draw what came of it.

    The picture shows the original, the adversarial image and their difference, with both
    predictions; with several attacks, all of them in one grid. Exit code 1 if an attack broke down,
    or if the version gets the image wrong without any attack. An attack that does not succeed is a
    result.

    - `nversion attack versions/v001 --attack deepfool --index 3`

    - `nversion attack versions/v001 --attack all --data mnist --data-dir data --out all.png`

    - `nversion attack versions/v001 --attack random-pgd --set epsilon=0.1 --json`
    """
    if out is not None:
        picture_file(out, "--out")
    check_version(model)
    check_settings(setting or [])
    from nversion.models import predict

    version = load_version(model)
    chosen = attacks_from(names, setting or [])
    dataset = test_images_of([version], data, data_dir)
    image, label = _test_image(dataset, index)
    before = int(predict(version.model, image))
    facts: dict[str, Any] = {
        "version": version.name,
        "dataset": dataset.name,
        "index": index,
        "label": int(label),
        "prediction": before,
        "already_misclassified": before != int(label),
        "seed": seed,
        "storable": storable,
        "attacks": [],
        "picture": None,
    }
    if before == int(label):
        rows, images = _run(version.model, chosen, image, label, seed, storable)
        facts["attacks"] = rows
        if picture and images:
            place = out or _default_file(version.name, index, chosen)
            figure = _draw(facts, image, images)
            save_picture(figure, place)
            facts["picture"] = str(place)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)
    if facts["already_misclassified"] or any(row["error"] for row in facts["attacks"]):
        raise typer.Exit(1)


def _test_image(data: TestImages, index: int) -> tuple[Tensor, Tensor]:
    """Return one test image [1, ...] and its label [1]."""
    from nversion.errors import InputError

    last = len(data.test) - 1
    if not 0 <= index <= last:
        raise InputError(f"--index must lie between 0 and {last} in {data.name}, not {index}")
    return data.test.images[index : index + 1], data.test.labels[index : index + 1]


def _run(
    model: nn.Module,
    chosen: Mapping[str, Attack],
    image: Tensor,
    label: Tensor,
    seed: int,
    storable: bool,
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Run the attacks; return a row for each, and the image that each of those that ran returned.

    An attack that breaks down has its error in its row.
    """
    from nversion.progress import progress_bar
    from nversion.workers import Failure, run_tasks

    arguments = {"model": model, "image": image, "label": label, "seed": seed, "storable": storable}
    tasks = [(_measure, {"attack": one, **arguments}) for one in chosen.values()]
    rows: list[dict[str, Any]] = []
    images: dict[str, Tensor] = {}
    with progress_bar("attacking", len(tasks)) as advance:
        for name, (_, result) in zip(chosen, run_tasks(tasks), strict=True):
            row = {"name": name, "norm": chosen[name].norm, "options": chosen[name].options()}
            if isinstance(result, Failure):
                rows.append({**row, "error": str(result)})
            else:
                measured, images[name] = result
                rows.append({**row, **measured, "error": None})
            advance()
    return rows, images


def _measure(
    model: nn.Module, attack: Attack, image: Tensor, label: Tensor, seed: int, storable: bool
) -> tuple[dict[str, Any], Tensor]:
    import time

    from nversion.adversarial import structural_similarity

    started = time.perf_counter()
    result = attack(model, image, label, seed=seed, storable=storable)
    seconds = time.perf_counter() - started
    success = bool(result.success)
    similarity = float(structural_similarity(result.images, image))
    row = {
        "success": success,
        "prediction": int(result.predictions),
        **{name: float(getattr(result, name)) if success else None for name in DISTANCES},
        "ssim": similarity if success else None,
        "forwards": result.forwards,
        "backwards": result.backwards,
        "seconds": seconds,
    }
    return row, result.images[0]


def _default_file(version: str, index: int, chosen: Mapping[str, Attack]) -> Path:
    what = next(iter(chosen)) if len(chosen) == 1 else f"{len(chosen)}-attacks"
    return Path(f"{version}-test{index}-{what.replace(':', '-')}.png")


def _draw(facts: Mapping[str, Any], image: Tensor, images: Mapping[str, Tensor]) -> Figure:
    import torch

    from nversion.adversarial import attack_grid, comparison

    title = f"{facts['version']} on test image {facts['index']} of {facts['dataset']}"
    ran = [row for row in facts["attacks"] if not row["error"]]
    predictions = {row["name"]: row["prediction"] for row in ran}
    if len(images) == 1:
        ((name, made),) = images.items()
        outcome = name if ran[0]["success"] else f"{name} failed"
        return comparison(
            image[0],
            made,
            label=facts["label"],
            original_prediction=facts["prediction"],
            adversarial_prediction=predictions[name],
            title=f"{outcome}, {title}",
        )
    return attack_grid(
        image[0],
        torch.stack(list(images.values())),
        list(images),
        label=facts["label"],
        predictions=torch.tensor(list(predictions.values())),
        title=title,
    )


def _print(facts: Mapping[str, Any]) -> None:
    where = f"{facts['version']} on test image {facts['index']} of {facts['dataset']}"
    if facts["already_misclassified"]:
        typer.echo(
            f"{where}: a {facts['label']}, taken for {facts['prediction']} without any attack; "
            "there is nothing to attack, name another --index"
        )
        return
    typer.echo(f"{where}: a {facts['label']}, taken for {facts['prediction']}")
    ran = [row for row in facts["attacks"] if not row["error"]]
    if ran:
        rows = [_cells(row, facts["prediction"]) for row in ran]
        print_table(HEADS, rows, numbers=HEADS[2:])
    for row in facts["attacks"]:
        if row["error"]:
            typer.echo(f"{row['name']} broke down: {row['error']}", err=True)
    if facts["picture"]:
        typer.echo(f"picture: {facts['picture']}")


def _cells(row: Mapping[str, Any], before: int) -> tuple[str, ...]:
    l0 = "-" if row["l0"] is None else f"{row['l0']:.0f}"
    return (
        row["name"],
        "yes" if row["success"] else "no",
        str(before),
        str(row["prediction"]),
        l0,
        *(_decimal(row[name]) for name in ("l1", "l2", "linf", "ssim")),
        f"{row['forwards']:,}",
        f"{row['backwards']:,}",
        f"{row['seconds']:.2f}",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
                "options": one.options(),
            }
            for one in chosen
        ]
        typer.echo(json.dumps(facts[0] if name else facts, indent=2))
    elif name:
        _describe(chosen[0])
    else:
        print_table(
            ("attack", "makes small", "published in", "options and their defaults"),
            [(one.name, one.norm.capitalize(), one.paper, _options(one)) for one in chosen],
        )


def _options(one: Attack) -> str:
    return ", ".join(f"{name}={value}" for name, value in one.options().items()) or "none"


def _describe(one: Attack) -> None:
    about = inspect.cleandoc(sys.modules[type(one).__module__].__doc__ or "")
    # The docstrings' cross-references mean nothing to somebody at a terminal.
    typer.echo(re.sub(r":\w+:`~?([^`]+)`", r"\1", about))
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
