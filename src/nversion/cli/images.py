"""Images that a command takes: those that it names, else what the versions were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from nversion.errors import DatasetError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nversion.datasets import Dataset, TestImages
    from nversion.versions import Version

__all__ = ["dataset_of", "first_test_images", "test_images_of"]

T = TypeVar("T")


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
    data = dataclasses.replace(data, class_names=_class_names(versions, data))
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
    data = dataclasses.replace(data, class_names=_class_names(versions, data))
    _check_fit(versions, data, name)
    return data


def _class_names(versions: Sequence[Version], data: TestImages | Dataset) -> tuple[str, ...]:
    """Return what the classes are called: as the images have it, else as the versions have it."""
    from nversion.formats import class_names_of

    told = [version.record.class_names for version in versions]
    names = class_names_of(data.class_names, told)
    if names or not any(told):
        return names
    # Of images without names their labels are the names.
    count = max(data.classes, *(version.record.classes for version in versions))
    return tuple(map(str, range(count)))


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
            f"{error}; {versions[0].name} {_learnt(versions[0])} it; name a dataset with --data, "
            "and the folder of its files with --data-dir"
        ) from error


def _learnt(version: Version) -> str:
    return "was trained on" if version.record.origin is None else "is of a study of"


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
        if record.dataset and not record.origin and record.dataset_digest != data.digest:
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
