"""Datasets by name or path: the one entry to this package.

A dataset with a name is a function that gives it. A plugin adds one as an entry point of the group
``nversion.datasets``: a function that may take ``root`` (the folder of ``--data-dir``, or None) and
``download`` (whether it may download what it lacks), and returns a :class:`Dataset` of that name.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nversion.arguments import typed
from nversion.datasets.arrays import load_npz, load_npz_to_test
from nversion.datasets.cifar import holds_cifar, load_cifar, refuse_pickled_cifar
from nversion.datasets.dataset import Dataset, TestImages
from nversion.datasets.digits import load_digits
from nversion.datasets.download import FASHION_MNIST, KMNIST, MNIST, Source, cache_folder, fetch
from nversion.datasets.emnist import emnist_parts, load_emnist
from nversion.datasets.folder import load_image_folder
from nversion.datasets.idx import holds_any, load_idx_folder
from nversion.datasets.resizing import resized
from nversion.datasets.tables import find_tables, load_csv, load_parquet
from nversion.errors import DatasetError
from nversion.naming import did_you_mean, split_size
from nversion.reading import check_name
from nversion.registry import Registry

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "is_named",
    "load_dataset",
    "load_published",
    "load_test_images",
    "names",
]

ENVIRONMENT_VARIABLE = "NVERSION_DATA"
"""Names a folder to look for datasets in before downloading them."""

SOURCES: Mapping[str, Source] = MappingProxyType(
    {source.name: source for source in (MNIST, FASHION_MNIST, KMNIST)}
)

DATASETS: Registry[Dataset] = Registry("dataset", "nversion.datasets", error=DatasetError)

RAW_FOLDERS = ("raw", *(path for source in SOURCES.values() for path in source.folders))
"""Where under a folder the IDX files may lie, as torchvision and this package lay them out."""

NOT_READ: Mapping[str, str] = MappingProxyType(
    {
        ".npy": "a single array; save images and labels together with numpy.savez(FILE, "
        "images=..., labels=...)",
        **dict.fromkeys(
            (".pt", ".pth", ".pkl", ".pickle"),
            "a pickle, which can run any code and is never opened; save its arrays with "
            "numpy.savez(FILE, images=..., labels=...)",
        ),
        **dict.fromkeys((".zip", ".tar", ".tgz", ".7z"), "an archive; unpack it, name its folder"),
        ".gz": "packed; name the folder that holds the four IDX files, packed or not",
    }
)
"""What to do with files of other kinds, by their ending."""

TELLING_FILE = "t10k-labels-idx1-ubyte"
"""A small file that tells the published datasets apart."""


def names() -> list[str]:
    """Return the names of the datasets: nversion's own, those it can download, and plugins'."""
    return DATASETS.names()


def is_named(name: str | Path) -> bool:
    """Return whether a dataset has that name, and is no path of the user's own files."""
    return DATASETS.knows(split_size(str(name))[0])


@typed
def load_dataset(
    name_or_path: str | Path,
    root: str | Path | None = None,
    download: bool = True,
    size: tuple[int, int] | None = None,
) -> Dataset:
    """Load a dataset by name, or the user's own from a path.

    Args:
        name_or_path: one of :func:`names`; or the path of a ``.npz``, ``.csv`` or ``.parquet``
            file, or of a folder: of class folders with images, of four IDX files (EMNIST's too), of
            CIFAR-10's binary version, of CSV files as Kaggle has them, or of Parquet files as
            Hugging Face has them. With ``@HEIGHTxWIDTH`` behind it, as in ``faces@28x28``, images
            are resized, as by `size`.
        root: for a published dataset, the folder that holds its files, or that holds a folder of
            its name with them. If given, it must have them. Otherwise the environment variable
            ``NVERSION_DATA`` names such a folder, and what is not there is downloaded into the
            user's cache.
        download: whether to download what is not there.
        size: (height, width) that images are resized to, bilinearly; None leaves them, and refuses
            folders of images of several sizes.

    Raises:
        DatasetError: the name is unknown, the files are missing or malformed, or a plugin's
            dataset cannot be loaded.
        DownloadError: no mirror gave the files.
    """
    plain, asked = split_size(str(name_or_path))
    if size is None and asked is not None and not Path(name_or_path).expanduser().exists():
        data = load_dataset(plain, root, download, asked)
        return dataclasses.replace(data, name=f"{data.name}@{asked[0]}x{asked[1]}")
    if is_named(name_or_path):
        folder = None if root is None else Path(root)
        data = _load_named(str(name_or_path), {"root": folder, "download": download})
    else:
        data = _load_own(Path(name_or_path).expanduser(), size)
    return data if size is None else resized(data, size)


def load_test_images(name_or_path: str | Path, root: str | Path | None = None) -> TestImages:
    """Load images to test networks on: a dataset's test images, or a whole adversarial set.

    Args:
        name_or_path: as in :func:`load_dataset`; of an adversarial set that was exported as a
            ``.npz`` file, all images are there to test on.
        root: as in :func:`load_dataset`.

    Raises:
        DatasetError, DownloadError: as in :func:`load_dataset`.
    """
    path = Path(name_or_path).expanduser()
    if not is_named(name_or_path) and path.suffix.lower() == ".npz" and path.is_file():
        return load_npz_to_test(path)
    return TestImages.of(load_dataset(name_or_path, root))


def load_published(
    source: Source,
    root: Path | None = None,
    download: bool = True,
    cache: Path | None = None,
) -> Dataset:
    """Load a published dataset: from `root`, else ``NVERSION_DATA``, else cached or downloaded.

    Args:
        source: which one, and its mirrors.
        root: as in :func:`load_dataset`.
        download: as in :func:`load_dataset`.
        cache: where downloads go; by default a folder in the user's cache.

    Raises:
        DatasetError: the files are missing or malformed.
        DownloadError: no mirror gave the files.
    """
    if root is not None:
        folder = _find(source, root.expanduser())
        if folder is None:
            raise DatasetError(
                f"{root}: no files of {source.name}; {_where_to_put(source)}, or leave the folder "
                "out to have them downloaded"
            )
        return _load_from(source, folder)
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    folder = _find(source, Path(named).expanduser()) if named else None
    if folder is not None:
        return _load_from(source, folder)
    cache = cache or cache_folder(source.name)
    if not download:
        if not holds_any(cache):
            raise DatasetError(
                f"{source.name} is not on this machine and may not be downloaded; "
                f"{_where_to_put(source)} and name it with --data-dir or {ENVIRONMENT_VARIABLE}"
            )
        return load_idx_folder(cache, source.name, source.classes, source.class_names)
    return load_idx_folder(fetch(source, cache), source.name, source.classes, source.class_names)


DATASETS.add("digits", load_digits)
for _source in SOURCES.values():
    DATASETS.add(_source.name, functools.partial(load_published, _source))


def _load_named(name: str, given: Mapping[str, Any]) -> Dataset:
    """Return what the function of a name gives, with those of `given` that it takes."""
    load = DATASETS.maker(name)
    takes = DATASETS.options(name)
    data = load(**{option: value for option, value in given.items() if option in takes})
    if not isinstance(data, Dataset) or data.name != name:
        what = f"{data.name!r}" if isinstance(data, Dataset) else f"a {type(data).__name__}"
        raise DatasetError(
            f"the dataset {name!r}: its function must give a Dataset of that name, not {what}"
        )
    return data


def _find(source: Source, root: Path) -> Path | None:
    """Return the folder at or under `root` that holds the dataset's files; None if none does."""
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; it was named to hold {source.name}")
    candidates = [*(root / name for name in source.folders), root, root / "raw"]
    return next((folder for folder in candidates if holds_any(folder)), None)


def _load_from(source: Source, folder: Path) -> Dataset:
    _refuse_another(source, folder)
    return load_idx_folder(folder, source.name, source.classes, source.class_names)


def _refuse_another(source: Source, folder: Path) -> None:
    """Raise if the folder holds another published dataset: all use the same file names."""
    path = folder / f"{TELLING_FILE}.gz"
    if not path.is_file():
        return
    for other in SOURCES.values():
        if other.name != source.name and other.matches(path, TELLING_FILE):
            raise DatasetError(f"{folder}: these are the files of {other.name}, not {source.name}")


def _where_to_put(source: Source) -> str:
    return f"put its four IDX files (or their .gz archives) into a folder, or into {source.name}/"


def _load_own(path: Path, size: tuple[int, int] | None = None) -> Dataset:
    if path.is_dir():
        name = check_name(path.resolve().name, str(path), DatasetError)
        return _load_folder(path, name, size)
    if path.is_file():
        check_name(path.stem, str(path), DatasetError)
        ending = path.suffix.lower()
        if ending == ".csv":
            return load_csv(path, None, path.stem)
        if ending == ".parquet":
            return load_parquet({"train": [path]}, path.stem)
        if ending != ".npz":
            what = NOT_READ.get(ending, "a single file must be one")
            raise DatasetError(f"{path}: not a .npz, .csv or .parquet file; {what}")
        return load_npz(path)
    raise DatasetError(
        f"{str(path)!r} is neither a dataset's name nor the path of a folder or of a .npz, .csv or "
        f".parquet file"
        f"{did_you_mean(path, names())}; the names are: {', '.join(names())}"
    )


def _load_folder(path: Path, name: str, size: tuple[int, int] | None) -> Dataset:
    """Return the data set in a folder, in whatever layout it is."""
    if place := _idx_folder(path):
        return load_idx_folder(place, name)
    for place in (path, path / "cifar-10-batches-bin"):
        if holds_cifar(place):
            return load_cifar(place, name)
    refuse_pickled_cifar(path)
    if parts := emnist_parts(path):
        return load_emnist(path, parts, name)
    if tables := find_tables(path, ".parquet"):
        return load_parquet(tables, name)
    if tables := find_tables(path, ".csv"):
        return load_csv(tables["train"][0], next(iter(tables.get("test", [])), None), name)
    return load_image_folder(path, name, size)


def _idx_folder(folder: Path) -> Path | None:
    """Return the folder at or under `folder` that holds IDX files; None if none does.

    Raises:
        DatasetError: several do.
    """
    if holds_any(folder):
        return folder
    # On some file systems MNIST/raw and mnist/raw are one folder.
    found = {place.resolve(): place for place in map(folder.joinpath, RAW_FOLDERS)}
    holding = [place for place in found.values() if place.is_dir() and holds_any(place)]
    if len(holding) > 1:
        raise DatasetError(
            f"{folder}: holds IDX files in {' and in '.join(map(str, holding))}; name one of them"
        )
    return holding[0] if holding else None
