"""What several commands share: reading their options, and finding versions and datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from nversion.cli import choices
from nversion.errors import ArtefactError, DatasetError, InputError
from nversion.naming import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from nversion.attacks import Attack
    from nversion.datasets import Dataset, TestImages
    from nversion.formats import Source
    from nversion.program import Voter
    from nversion.versions import Version

__all__ = [
    "VOTERS",
    "AddressOption",
    "DataDirOption",
    "DeviceOption",
    "EngineOption",
    "InputOption",
    "JsonOption",
    "KOption",
    "TrustOption",
    "WorkersOption",
    "attack_setting_option",
    "attacked",
    "attacks_from",
    "check_address",
    "check_place",
    "check_settings",
    "check_study",
    "check_version",
    "confirmed",
    "data_option",
    "dataset_of",
    "first_test_images",
    "load_version",
    "load_versions",
    "parse_setting",
    "picture_file",
    "save_picture",
    "sources_of",
    "test_images_of",
    "voter_from",
    "voter_option",
    "voter_text",
    "voters_option",
    "with_their_classes",
]

T = TypeVar("T")

PICTURES = (".png", ".svg", ".pdf")

WorkersOption = Annotated[
    str,
    typer.Option(help="Workers, or auto for one per core.", callback=choices.workers),
]
EngineOption = Annotated[
    str,
    typer.Option(
        callback=choices.one_of(*choices.ENGINES),
        help="What runs them: processes of this machine, threads of this process, ray, or auto "
        "for threads with a graphics card and processes without.",
    ),
]
AddressOption = Annotated[
    str, typer.Option(help="Of a running Ray cluster; without it Ray starts on this machine.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where networks compute: cpu, cuda, or auto for cuda if there is a card.",
        callback=choices.one_of(*choices.DEVICES),
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where the dataset's files are.", show_default=False, exists=True, file_okay=False
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KOption = Annotated[
    int | None,
    typer.Option("--k", help="Votes that the voter k-of-n asks for.", show_default=False),
]

InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[FILE:]KEY=VALUE,...",
        help="How networks from elsewhere are fed: size=1x28x28, layout=nhwc, range=0:255, mean, "
        "std, outputs=probabilities, key, classes; before version.toml beside a file. May be "
        "repeated.",
        show_default=False,
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Run the code that comes with a file (TorchScript, factories)."),
]

VOTERS = f"{', '.join(choices.VOTERS)}, or a plugin's"
"""For help texts."""


def data_option(trained: str = "versions were") -> Any:
    """Return ``--data``, by default what the named `trained` on."""
    return typer.Option(
        callback=choices.dataset,
        help="A dataset's name, an .npz file or a folder of images; resized with @HEIGHTxWIDTH "
        "behind it, as in faces@28x28. "
        f"[default: what the {trained} trained on]",
        show_default=False,
    )


def voter_option(who: str) -> Any:
    """Return ``--voter``, for how `who` vote."""
    return typer.Option(
        help=f"How {who} vote: {VOTERS}. [default: mean-softmax]",
        show_default=False,
        callback=choices.voter,
    )


def attack_setting_option(more: str = "") -> Any:
    """Return ``--set`` of attacks, with `more` to say of it."""
    return typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="An option of the attacks that have it, or with deepfool.steps=50 of one alone; "
        f"may be repeated.{more}",
        show_default=False,
    )


def parse_setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of a ``--set KEY=VALUE``; the value as TOML, else as text."""
    from nversion.reading import parse_toml

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"--set wants KEY=VALUE, not {text!r}")
    try:
        return key.strip(), parse_toml(f"value = {value}", "--set", InputError)["value"]
    except InputError:
        return key.strip(), value.strip()


def check_settings(settings: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the keys and values of every ``--set``; nothing of what they are for is imported."""
    return [parse_setting(setting) for setting in settings]


def attacks_from(text: str, settings: Sequence[str]) -> dict[str, Attack]:
    """Return attacks by name, from their names with commas between (or "all") and ``--set``.

    A setting ``option=value`` counts for every named attack that has the option,
    ``attack.option=value`` for that attack alone.

    Raises:
        InputError: an attack or an option is unknown, named twice, or out of range.
    """
    pairs = check_settings(settings)
    from nversion.attacks import create, names

    chosen = names() if text.strip() == "all" else [part.strip() for part in text.split(",")]
    chosen = [name for name in chosen if name]
    options: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    known = {name: create(name).options() for name in chosen}
    for setting, (key, value) in zip(settings, pairs, strict=True):
        attack, dot, option = key.rpartition(".")
        if dot and attack not in chosen:
            raise InputError(
                f"--set {setting}: {attack!r} is not among the attacks: {', '.join(chosen)}"
                f"{did_you_mean(attack, chosen)}"
            )
        having = [attack] if dot else [name for name in chosen if option in known[name]]
        if not having:
            raise InputError(
                f"--set {setting}: no attack has the option {option!r}"
                f"{did_you_mean(option, [one for own in known.values() for one in own])}; "
                + "; ".join(f"{name} has {_listed(known[name])}" for name in chosen)
            )
        for name in having:
            options[name][option] = value
    try:
        return {name: create(name, **options[name]) for name in chosen}
    except InputError as error:
        given = ", ".join(f"--set {setting}" for setting in settings)
        raise InputError(f"{given}: {error}") from error


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(options) or "none"


def load_version(
    path: Path, inputs: Sequence[str] | None = None, *, trust: bool = False
) -> Version:
    """Return the version in a folder, or of a file that another library wrote.

    Args:
        path: the folder or file.
        inputs: what was said with ``--input``.
        trust: whether code that comes with it may run.

    Raises:
        InputError: there is no such file, it is no version's, or `inputs` are wrong.
        ArtefactError: it cannot be read.
    """
    check_version(path)
    from nversion.formats import feed_for
    from nversion.formats import load_version as load

    version = load(path, feed_for(path, inputs or ()), trust=trust)
    if version.record.origin is None and not version.checked:
        typer.echo(
            f"note: the record of {path} holds no checksums, so that damage to its weights would "
            "not be seen; train it anew, or load and save it, to have them",
            err=True,
        )
    return version


def check_study(folder: Path) -> None:
    """Raise unless a folder holds a study's results; before anything that takes time is imported.

    Raises:
        ArtefactError: it does not.
    """
    source = folder / "results.json"
    if not source.is_file():
        raise ArtefactError(
            f"{source}: no such file; give the folder of a finished study, or make one with "
            f"`nversion study --out {folder}`"
        )


def check_version(path: Path) -> None:
    """Raise unless there may be a version at a place; nothing is loaded.

    Raises:
        InputError: there is no such file or folder, or it is not a version's.
    """
    if any((path / mark).is_file() for mark in choices.MODEL_FOLDER_MARKS):
        return
    if path.is_file() and path.suffix.lower() in choices.MODEL_ENDINGS:
        return
    if path.is_file():
        # Of a file that is there, the library knows best why it is not read.
        from nversion.formats import format_of

        format_of(path)
    inside = sorted(place.parent for place in path.glob("*/record.json"))
    hint = f"name one of the versions in it, such as {inside[0]}" if inside else ""
    hint = hint or (
        "make one with `nversion train`, name one in a study's versions/, or a file that ends in "
        f"{', '.join(choices.MODEL_ENDINGS)}"
    )
    what = "not a version's folder" if path.is_dir() else "no such folder or file"
    raise InputError(f"{path}: {what}; {hint}")


def load_versions(
    paths: Sequence[Path], inputs: Sequence[str] | None = None, *, trust: bool = False
) -> dict[str, Version]:
    """Return the versions at some places by name; by place where two have the same name.

    Args:
        paths: folders of versions, or files that other libraries wrote.
        inputs: what was said with ``--input``.
        trust: whether code that comes with them may run.

    Raises:
        InputError: one is named twice, does not exist or is not a version's.
        ArtefactError: one cannot be read.
    """
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{path} is named twice")
        check_version(path)
    names_of_files = {path.name for path in paths}
    for text in inputs or ():
        name, colon, _ = text.partition(":")
        if colon and "=" not in name and Path(name).name not in names_of_files:
            hint = did_you_mean(name, sorted(names_of_files))
            raise InputError(f"--input {text}: {name} is not among the versions{hint}")
    versions = [load_version(path, inputs, trust=trust) for path in paths]
    names = [version.name for version in versions]
    return {
        name if names.count(name) == 1 else str(path): version
        for name, path, version in zip(names, paths, versions, strict=True)
    }


def confirmed(versions: Mapping[str, Version], data: TestImages | Dataset) -> dict[str, Version]:
    """Return versions with the classes of the images; doubt aloud those from elsewhere.

    What is odd about one (right no more often than by chance, classes in another order, ...) is
    said on standard error.
    """
    from nversion.datasets import oddities
    from nversion.formats import doubts_of

    names = data.class_names or tuple(map(str, range(data.classes)))
    for odd in oddities(data.test.labels, names):
        typer.echo(f"note: {data.name}: {odd}", err=True)
    found = with_their_classes(versions, data)
    for version in found.values():
        if version.record.origin is not None:
            test = data.test
            for doubt in doubts_of(version, test.images, test.labels, data.class_names):
                typer.echo(f"doubt: {doubt}", err=True)
    return found


def with_their_classes(
    versions: Mapping[str, Version], data: TestImages | Dataset
) -> dict[str, Version]:
    """Return versions whose outputs are the classes of the images, where these have names."""
    from nversion.formats import with_classes

    names = data.class_names
    return {
        name: with_classes(version, names) if names else version
        for name, version in versions.items()
    }


def sources_of(
    paths: Sequence[Path], inputs: Sequence[str] | None, trust: bool, data: Dataset
) -> list[Source]:
    """Return what tasks of other processes load the versions from."""
    from nversion.formats import Source, feed_for

    names = data.class_names
    return [Source(path, feed_for(path, inputs or ()), trust, names) for path in paths]


def voter_from(name: str | None, k: int | None) -> Voter:
    """Return the voter of ``--voter`` and ``--k``, the study's by default.

    Raises:
        InputError: it is unknown, or has no k.
    """
    from nversion.program import create_voter

    return create_voter(name or "mean-softmax", **({} if k is None else {"k": k}))


def voters_option() -> Any:
    """Return ``--voters``, which lists all voters and ends the command."""
    return typer.Option(
        "--voters", help="List the voters and what is known of each.", is_eager=True, callback=_list
    )


def _list(wanted: bool) -> None:
    """Print a table of all voters, with what a reader chooses by."""
    if not wanted:
        return
    from nversion.cli.printing import print_table
    from nversion.program import create_voter, is_certified, voter_names

    rows = []
    for name in voter_names():
        voter = create_voter(name)
        options = ", ".join(f"{key}={value}" for key, value in voter.options().items())
        rows.append(
            (
                name,
                "yes" if voter.differentiable else "no",
                "yes" if is_certified(voter) else "no",
                "yes" if voter.weighted else "no",
                voter.tie_rule,
                options,
                voter.source,
            )
        )
    heads = ("voter", "differentiable", "certified", "weights", "a tie", "options", "source")
    print_table(heads, rows)
    raise typer.Exit


def attacked(
    versions: Mapping[str, Version], voter: str | None, k: int | None
) -> tuple[nn.Module, str, dict[str, Any]]:
    """Return what is to be attacked, what to call it, and facts about it as JSON values.

    Raises:
        InputError: a voter for one version alone, or one that is unknown or has no k.
    """
    if len(versions) == 1:
        if voter is not None or k is not None:
            raise InputError("one version does not vote; leave out --voter and --k, or name more")
        ((name, version),) = versions.items()
        return version.model, name, {"version": name}
    from nversion.program import Program

    chosen = voter_from(voter, k)
    facts = {"name": chosen.name, **chosen.options()}
    program = Program([version.model for version in versions.values()], chosen)
    title = f"program of {len(versions)} ({voter_text(facts)})"
    return program, title, {"versions": list(versions), "voter": facts}


def voter_text(facts: Mapping[str, Any]) -> str:
    """Return a voter's name and those of its options that were chosen, such as "k-of-n, k=2"."""
    chosen = {key: value for key, value in facts.items() if key != "name" and value is not None}
    return ", ".join([str(facts["name"]), *(f"{key}={value}" for key, value in chosen.items())])


def first_test_images(data: TestImages, count: int | None) -> tuple[Tensor, Tensor]:
    """Return the first `count` test images, or all if there are fewer, and their labels."""
    return data.test.images[:count], data.test.labels[:count]


def dataset_of(versions: Sequence[Version], name: str | None, root: Path | None) -> Dataset:
    """Return a dataset that fits versions: the named one, else the one they were trained on.

    Raises:
        InputError: it does not fit, or they were trained on different ones.
        DatasetError: it cannot be loaded.
    """
    from nversion.datasets import TestImages, load_dataset

    data = _loaded(versions, name, root, load_dataset)
    _check_fit(versions, TestImages.of(data), name)
    return data


def test_images_of(versions: Sequence[Version], name: str | None, root: Path | None) -> TestImages:
    """Return images to test versions on: the named ones, else those of what they were trained on.

    Says on standard error where they are other images, or not all that a file holds.

    Raises:
        InputError: they do not fit, or the versions were trained on different datasets.
        DatasetError: they cannot be loaded.
    """
    from nversion.datasets import load_test_images

    data = _loaded(versions, name, root, load_test_images)
    _check_fit(versions, data, name)
    return data


def _loaded(
    versions: Sequence[Version],
    name: str | None,
    root: Path | None,
    load: Callable[[str, Path | None], T],
) -> T:
    """Return what `load` makes of the named dataset, else of the one the versions learnt from."""
    if name is not None:
        return load(name, root)
    known = (version.record.dataset for version in versions if version.record.dataset)
    trained_on = list(dict.fromkeys(known))
    if not trained_on:
        raise InputError(
            "none of the versions was trained here, so that nothing says which images they know; "
            "name a dataset with --data, and the folder of its files with --data-dir"
        )
    if len(trained_on) > 1:
        raise InputError(
            f"the versions were trained on different datasets ({', '.join(trained_on)}); "
            "say with --data which images to take"
        )
    try:
        return load(trained_on[0], root)
    except DatasetError as error:
        raise DatasetError(
            f"{error}; {versions[0].name} was trained on it; name a dataset with --data, and "
            "the folder of its files with --data-dir"
        ) from error


def _check_fit(versions: Sequence[Version], data: TestImages, name: str | None) -> None:
    """Raise unless the versions take the images; say what is not to be expected of them."""
    from nversion.architectures import shape_text
    from nversion.datasets import is_named
    from nversion.formats import with_classes

    for given in versions:
        version = with_classes(given, data.class_names) if data.class_names else given
        record = version.record
        known = data.classes if data.complete else max(data.classes, record.classes)
        if record.shape != tuple(data.shape) or record.classes != known:
            origin = record.origin
            told = f"it was trained on {record.dataset}" if origin is None else f"of {origin.file}"
            other = "name another --data"
            raise InputError(
                f"{version.name} takes images of {shape_text(record.shape)} in {record.classes} "
                f"classes ({told}), but {data.name} has {shape_text(tuple(data.shape))} in "
                f"{data.classes}; {other if origin is None else f'{other}, or say --input'}"
            )
        if record.dataset and record.dataset_digest != data.digest:
            typer.echo(
                f"note: {version.name} was trained on {record.dataset}, not on these images",
                err=True,
            )
    if name is not None and not is_named(name):
        # Of one's own file one may not know that a part of it is set aside to train on.
        taken = len(data.test)
        if taken == data.held:
            note = f"all {taken:,} images of {data.name} are to test on"
        else:
            note = (
                f"of {data.held:,} images of {data.name}, {taken:,} are to test on, and only these"
            )
            note += " are used"
        typer.echo(f"note: {note}", err=True)


def picture_file(path: Path, option: str) -> Path:
    """Return the path of a picture to be written.

    Raises:
        InputError: it is a folder, or its ending is not one of a picture's.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"{option} {path}: must end in {', '.join(PICTURES)}")
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder; name a file")
    check_place(path, option)
    return path


def check_place(path: Path, option: str) -> None:
    """Raise unless the folder of a file that is to be written is there or can be made.

    Raises:
        InputError: there is a file in its way.
    """
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise InputError(f"{option} {path}: {there} is a file; name another place")


def check_address(address: str, engine: str) -> None:
    """Raise InputError where there is a Ray cluster's address for another engine."""
    if address and engine != "ray":
        raise InputError("--address belongs to a Ray cluster; add --engine ray")


def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture in the format that its ending names, atomically."""
    from nversion.files import replacing

    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
