from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from nversion.datasets import load_dataset, load_test_images, names
from nversion.datasets.download import KMNIST, MNIST
from nversion.datasets.idx import FILE_NAMES
from nversion.datasets.registry import DATASETS, load_published
from nversion.errors import DatasetError, DownloadError

NAMED_FOLDER = os.environ.get("NVERSION_DATA")


def write_idx(folder: Path, first_pixel: int = 0) -> Path:
    """Write four plain IDX files with one image of each of ten classes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILE_NAMES:
        if "images" in name:
            content = struct.pack(">4I", 0x803, 10, 2, 2) + bytes([first_pixel]) + bytes(39)
        else:
            content = struct.pack(">2I", 0x801, 10) + bytes(range(10))
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVERSION_DATA", raising=False)


def test_the_names() -> None:
    assert names() == ["digits", "mnist", "fashion-mnist", "kmnist"]


def test_an_unknown_name_lists_the_names_and_the_nearest() -> None:
    with pytest.raises(DatasetError, match=r"mean .fashion-mnist.* digits, mnist, fashion-"):
        load_dataset("fashon-mnist")
    with pytest.raises(DatasetError, match="neither a dataset's name nor the path"):
        load_dataset("/nowhere/at/all")


def test_a_file_that_is_not_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.txt"
    path.write_text("1,2")
    with pytest.raises(DatasetError, match=r"images\.txt: not a \.npz, \.csv or \.parquet file"):
        load_dataset(path)


@pytest.mark.parametrize("below", [".", "kmnist", "KMNIST/raw"])
def test_the_root_may_hold_the_files_or_a_folder_of_them(tmp_path: Path, below: str) -> None:
    write_idx(tmp_path / below)
    data = load_dataset("kmnist", root=str(tmp_path))
    assert (data.name, data.classes, data.shape) == ("kmnist", 10, (1, 2, 2))


def test_the_environment_variable_names_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path / "environment" / "kmnist", first_pixel=7)
    write_idx(tmp_path / "root", first_pixel=9)
    monkeypatch.setenv("NVERSION_DATA", str(tmp_path / "environment"))
    assert float(load_dataset("kmnist").train.images.max()) == pytest.approx(7 / 255)
    from_root = load_dataset("kmnist", root=tmp_path / "root")
    assert float(from_root.train.images.max()) == pytest.approx(9 / 255)


def test_a_root_without_the_files_is_not_replaced_by_a_download(tmp_path: Path) -> None:
    source = dataclasses.replace(KMNIST, mirrors=())
    with pytest.raises(DatasetError, match="no files of kmnist; put its four IDX files") as caught:
        load_published(source, root=tmp_path)
    assert not isinstance(caught.value, DownloadError)
    with pytest.raises(DatasetError, match="no such folder"):
        load_published(source, root=tmp_path / "missing")


def test_an_environment_folder_without_the_files_leads_to_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVERSION_DATA", str(tmp_path))
    with pytest.raises(DownloadError):
        load_published(dataclasses.replace(KMNIST, mirrors=()), cache=tmp_path / "cache")


def test_without_leave_to_download_the_cache_is_used_or_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="may not be downloaded; put its four IDX files"):
        load_published(MNIST, download=False, cache=tmp_path / "empty")
    write_idx(tmp_path / "cache")
    assert load_published(MNIST, download=False, cache=tmp_path / "cache").classes == 10


def mnist_folder() -> Path:
    root = Path(__file__).resolve().parents[2]
    for base in (NAMED_FOLDER, root.parent / "shared" / "data"):
        if base and (Path(base) / "mnist" / f"{FILE_NAMES[3]}.gz").is_file():
            return Path(base) / "mnist"
    pytest.skip("the MNIST files are not here")


@pytest.mark.mnist
def test_real_mnist() -> None:
    data = load_dataset("mnist", root=mnist_folder())
    assert (data.name, data.classes, data.shape) == ("mnist", 10, (1, 28, 28))
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.images.double().mean().item() == pytest.approx(0.13066, abs=1e-5)
    assert float(data.test.images.max()) == 1.0


@pytest.mark.mnist
def test_another_published_dataset_under_the_same_file_names_is_refused() -> None:
    with pytest.raises(DatasetError, match="these are the files of mnist, not kmnist"):
        load_dataset("kmnist", root=mnist_folder())


def test_a_folder_of_idx_files_can_be_ones_own(tmp_path: Path) -> None:
    write_idx(tmp_path / "mine")
    assert load_dataset(tmp_path / "mine").name == "mine"


@pytest.mark.parametrize("below", [".", "raw", "MNIST/raw"])
def test_the_folders_of_torchvision_are_understood(tmp_path: Path, below: str) -> None:
    write_idx(tmp_path / "tv" / below)
    assert load_dataset(tmp_path / "tv").name == "tv"
    assert load_dataset("mnist", root=tmp_path / "tv").name == "mnist"


def test_of_several_datasets_in_a_folder_one_must_be_named(tmp_path: Path) -> None:
    for name in ("MNIST", "KMNIST"):
        write_idx(tmp_path / name / "raw")
    with pytest.raises(DatasetError, match="name one of them"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path / "KMNIST").name == "KMNIST"
    assert load_dataset("kmnist", root=tmp_path).name == "kmnist"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data.pt", "never opened"),
        ("data.tar", "unpack it"),
        ("data", "must be one"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1")
    said = f"{name}: not a .npz, .csv or .parquet file; .*{message}"
    with pytest.raises(DatasetError, match=said):
        load_dataset(tmp_path / name)


def test_the_images_to_test_on_of_a_name_are_its_test_split() -> None:
    found, data = load_test_images("digits"), load_dataset("digits")
    assert (found.name, found.digest, found.held) == ("digits", data.digest, 1797)
    assert len(found.test) == len(data.test)


PLUGIN = """
from nversion.datasets import load_dataset
import dataclasses

seen = []

def mine(root):
    seen.append(root)
    return dataclasses.replace(load_dataset("digits"), name="mine")

def other():
    return load_dataset("digits")

def nothing():
    return None
"""


@pytest.fixture
def plugin(install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with a dataset, and two that are none of that name."""
    monkeypatch.setattr(DATASETS, "_makers", dict(DATASETS._makers))
    names = ("mine", "other", "nothing")
    entries = {name: f"with_datasets:{name}" for name in names}
    install("with_datasets", PLUGIN, {"nversion.datasets": entries})


def test_a_plugins_dataset_is_loaded_by_name_from_the_folder_it_is_given(
    plugin: None, tmp_path: Path
) -> None:
    assert load_dataset("mine").name == "mine"
    assert load_test_images("mine", tmp_path).name == "mine"
    import with_datasets

    assert with_datasets.seen == [None, tmp_path]
    assert names()[4:] == ["mine", "nothing", "other"]


@pytest.mark.parametrize(("name", "given"), [("other", "'digits'"), ("nothing", "a NoneType")])
def test_a_plugin_that_gives_something_else_is_refused(plugin: None, name: str, given: str) -> None:
    with pytest.raises(DatasetError, match=f"{name!r}: .* a Dataset of that name, not {given}"):
        load_dataset(name)
