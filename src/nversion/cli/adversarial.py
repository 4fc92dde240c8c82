"""``nversion adversarial``: build an adversarial set, show what it holds, export it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.images import dataset_of
from nversion.cli.options import (
    AddressOption,
    DataDirOption,
    DeviceOption,
    EngineOption,
    InputOption,
    JsonOption,
    TrustOption,
    WorkersOption,
    attack_setting_option,
    check_address,
    data_option,
)
from nversion.cli.places import check_place, picture_file, save_picture
from nversion.cli.printing import print_table
from nversion.cli.programs import at_place
from nversion.cli.settings import attacks_from, check_settings
from nversion.cli.versions import check_version, confirmed, sources_of
from nversion.errors import InputError

if TYPE_CHECKING:
    from nversion.adversarial import AdversarialSet, PerceptibilityRule
    from nversion.adversarial.contents import SetContents

__all__ = ["app"]

app = typer.Typer(
    help="The adversarial set: images that attacks made, with where each comes from. "
    "A study keeps its own in its folder `adversarial`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

SetArgument = Annotated[Path, typer.Argument(metavar="SET", help="The folder of the set.")]


@app.command("build")
def build(
    versions: Annotated[
        list[Path],
        typer.Argument(metavar="VERSIONS...", help="Folders of versions, or files of networks."),
    ],
    attacks: Annotated[
        str,
        typer.Option(
            "--attacks",
            help="Names, with commas between, or all.",
            callback=choices.attack_names,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the set.", file_okay=False)],
    images: Annotated[
        int, typer.Option(min=1, help="Correctly classified test images per version.")
    ] = 13,
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    setting: Annotated[list[str] | None, attack_setting_option()] = None,
    storable: Annotated[
        bool,
        typer.Option(
            "--storable/--no-storable",
            help="Whether the images must stay adversarial when stored in 8 bits a value.",
        ),
    ] = True,
    largest_rms: Annotated[
        str,
        typer.Option(
            help="Leave out attacks whose median RMS change is larger, or off.",
            callback=choices.threshold,
        ),
    ] = "0.15",
    smallest_ssim: Annotated[
        str,
        typer.Option(
            help="Leave out attacks whose median SSIM is smaller, or off.",
            callback=choices.threshold,
        ),
    ] = "0.4",
    largest_linf: Annotated[
        str,
        typer.Option(
            help="Leave out attacks whose median largest change is larger, or off.",
            callback=choices.threshold,
        ),
    ] = "off",
    seed: Annotated[int, typer.Option(min=0, help="Everything random comes from it.")] = 7,
    workers: WorkersOption = "auto",
    engine: EngineOption = "auto",
    address: AddressOption = "",
    device: DeviceOption = "cpu",
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run attacks on versions and put what succeeds into a set.

    A set is the same for the same versions, attacks and seed, and the same as a study's.
    Interrupt it at any time: the same command goes on where it stopped, and with more attacks it
    runs only those that are new. Exit code 1 if an attack broke down; the rest is in the set.

    - `nversion adversarial build versions/* --attacks deepfool,random-pgd --out set`
    """
    for folder in versions:
        check_version(folder)
    check_settings(setting or [])
    check_address(address, engine)
    from nversion.device import check_device
    from nversion.study import AttackPlan, build_adversarial_set
    from nversion.workers import Where, check_engine

    Where.of(workers, engine, address, device)
    rule = _rule(largest_rms, smallest_ssim, largest_linf)
    chosen = attacks_from(attacks, setting or [])
    loaded = dict(one for path in versions for one in at_place(path, inputs, trust=trust))
    dataset = dataset_of(list(loaded.values()), data, data_dir)
    confirmed(loaded, dataset)
    made = build_adversarial_set(
        sources_of(versions, inputs, trust, dataset),
        AttackPlan(chosen, images, seed, storable, rule, check_device(device)),
        dataset,
        out,
        workers=workers,
        engine=check_engine(engine),
        address=address,
        say=lambda message: typer.echo(message, err=True),
    )
    _show(out, as_json)
    if made.failures:
        raise typer.Exit(1)


@app.command("show")
def show(
    folder: SetArgument,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Draw a contact sheet: one row of images per attack; .png, .svg or .pdf.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[int, typer.Option(min=1, help="Images in a row of the sheet.")] = 16,
    as_json: JsonOption = False,
) -> None:
    """Say what a set holds: how many images, of which versions and attacks, how far they went.

    - `nversion adversarial show studies/digits/adversarial --sheet sheet.png`
    """
    if sheet is not None:
        picture_file(sheet, "--sheet")
    _check(folder)
    from nversion.adversarial import contact_sheet

    adversarial = _show(folder, as_json)
    if sheet is not None:
        save_picture(contact_sheet(adversarial, columns), sheet)
        typer.echo(f"sheet: {sheet}", err=as_json)


@app.command("export")
def export(
    folder: SetArgument,
    npz: Annotated[Path, typer.Option("--npz", help="The file to write, for NumPy.")],
) -> None:
    """Write a set as one .npz file: images, labels, predictions, distances, provenance.

    `numpy.load(file)` reads it, and so does `--data file` of the other commands.

    - `nversion adversarial export studies/digits/adversarial --npz digits.npz`
    """
    if npz.suffix.lower() != ".npz":
        raise InputError(f"--npz {npz}: must end in .npz")
    if npz.is_dir():
        raise InputError(f"--npz {npz}: is a folder; name a file")
    check_place(npz, "--npz")
    _check(folder)
    from nversion.adversarial import AdversarialSet

    adversarial = AdversarialSet.load(folder)
    adversarial.export_npz(npz)
    typer.echo(f"{len(adversarial)} images in {npz}")


def _rule(largest_rms: str, smallest_ssim: str, largest_linf: str) -> PerceptibilityRule:
    """Return the rule from its thresholds as they were given: numbers, or "off"."""
    from nversion.adversarial import PerceptibilityRule

    def threshold(text: str) -> float | None:
        return None if text == "off" else float(text)

    return PerceptibilityRule(
        largest_rms=threshold(largest_rms),
        smallest_ssim=threshold(smallest_ssim),
        largest_linf=threshold(largest_linf),
    )


def _check(folder: Path) -> None:
    """Raise InputError unless there is a set in a folder; nothing is loaded."""
    if not (folder / "images.safetensors").is_file():
        what = "not the folder of an adversarial set" if folder.is_dir() else "no such folder"
        hint = "make one with `nversion adversarial build`"
        if (folder / "adversarial").is_dir():
            hint = f"did you mean {folder / 'adversarial'}?"
        raise InputError(f"{folder}: {what}; {hint}")


def _show(folder: Path, as_json: bool) -> AdversarialSet:
    """Print what the set in a folder holds, and return it."""
    from nversion.adversarial.contents import SetContents

    _check(folder)
    contents = SetContents.load(folder)
    if as_json:
        typer.echo(json.dumps(contents.to_json(), indent=2))
    else:
        _print(folder, contents)
    return contents.adversarial


def _print(folder: Path, contents: SetContents) -> None:
    adversarial, record = contents.adversarial, contents.record
    shape = "x".join(map(str, adversarial.images.shape[1:]))
    stored = "still adversarial in 8 bits a value" if adversarial.storable else "float32"
    typer.echo(
        f"{folder}: {len(adversarial)} images of {shape}, {stored}, "
        f"from {adversarial.source_images} test images"
    )
    if record:
        typer.echo(
            f"made from {record.dataset} with seed {record.seed}, "
            f"at most {record.images_per_version} images per version"
        )
    attacks = contents.attacks
    heads = ("attack", "in set", "succeeded", "tried", "share", "95 % interval")
    medians = ("L0", "L1", "L2", "Linf", "SSIM")
    print_table(
        (*heads, *medians),
        [_cells(row) for row in attacks],
        numbers=(*heads[2:], *medians),
    )
    left_out = [row for row in attacks if not row["in_adversarial_set"]]
    for row in left_out:
        typer.echo(f"{row['name']} is left out: {row['reason']}")
    if record:
        typer.echo(record.perceptibility_rule)
    options = [
        (name, ", ".join(f"{key}={value}" for key, value in own.items()) or "none")
        for name, own in ((name, adversarial.options[name]) for name in adversarial.attacks)
    ]
    print_table(("attack", "options"), options)
    print_table(
        ("version", "images"),
        [(name, str(count)) for name, count in adversarial.per_version.items()],
        numbers=("images",),
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    share, tried = row.get("effectiveness"), row.get("tried")
    # A record of an older version holds intervals that take all runs for independent.
    known = share is not None and "test_images" in row
    medians = [row.get(f"median_{key}") for key in ("l0", "l1", "l2", "linf", "ssim")]
    return (
        row["name"],
        "yes" if row["in_adversarial_set"] else "no",
        str(row["succeeded"]),
        "-" if tried is None else str(tried),
        "-" if share is None else f"{100 * share:.2f} %",
        f"{100 * row['effectiveness_low']:.1f}-{100 * row['effectiveness_high']:.1f} %"
        if known
        else "-",
        *("-" if value is None else f"{value:.3g}" for value in medians),
    )
