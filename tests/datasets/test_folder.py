from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nversion.cli.app import app
from nversion.datasets import load_dataset, load_test_images
from nversion.errors import DatasetError
from nversion.study import make_config


def picture(value: float, size: tuple[int, int] = (5, 4), mode: str = "L") -> Image.Image:
    return Image.new(mode, size, value if mode == "L" else (value, 0, 255))


def write(folder: Path, classes: Sequence[str], count: int = 4, mode: str = "L") -> Path:
    for position, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture(position * 20 + number, mode=mode).save(folder / name / f"{number}.png")
    return folder


def test_class_folders_become_labels_in_the_order_of_their_names(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "pets", ["cat", "bee", "ant"]))
    assert (data.name, data.classes, data.shape) == ("pets", 3, (1, 4, 5))
    assert data.class_names == ("ant", "bee", "cat")
    assert data.test.labels.tolist() == [0, 1, 2]
    # "ant" was written last, with values from 40; its second image is the test image.
    assert torch.equal(data.test.images[0], torch.full((1, 4, 5), 41 / 255))


def test_folders_named_by_numbers_are_in_numerical_order(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path, [str(number) for number in range(12)], count=2))
    values = data.test.images.mean(dim=(1, 2, 3)).mul(255).round().int().tolist()
    assert values == [number * 20 + 1 for number in range(12)]


def test_train_and_test_folders_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path / "train", ["a", "b"], count=3)
    write(tmp_path / "test", ["b"], count=2)
    data = load_dataset(tmp_path)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [1, 1]


def test_colour_images_have_three_channels(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path, ["a", "b"], mode="RGB"))
    assert data.shape == (3, 4, 5)
    assert np.allclose(data.test.images[0, :, 0, 0], [1 / 255, 0, 1])


def test_other_files_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "a" / "notes.txt").write_text("about")
    (tmp_path / "a" / ".hidden.png").write_text("about")
    (tmp_path / ".git").mkdir()
    assert len(load_dataset(tmp_path).train) == 6


def test_images_of_another_size_are_named(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    picture(0, size=(7, 4)).save(tmp_path / "b" / "odd.png")
    with pytest.raises(DatasetError, match=r"odd\.png is 7 x 4 pixels, .* is 5 x 4 pixels"):
        load_dataset(tmp_path)


def test_colour_among_greyscale_is_named(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    picture(0, mode="RGB").save(tmp_path / "b" / "odd.png")
    with pytest.raises(DatasetError, match=r"odd\.png is .* colour, but .* greyscale"):
        load_dataset(tmp_path)


def test_train_and_test_of_other_sizes_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train", ["a", "b"])
    (tmp_path / "test" / "a").mkdir(parents=True)
    picture(0, size=(7, 4)).save(tmp_path / "test" / "a" / "0.png")
    with pytest.raises(DatasetError, match=r"test images are \[1, 4, 7\]"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("kept", [0, 30, 50])
def test_unreadable_images_are_named(tmp_path: Path, kept: int) -> None:
    write(tmp_path, ["a", "b"])
    path = tmp_path / "a" / "1.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"a/1\.png: not readable as an image"):
        load_dataset(tmp_path)


def test_values_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    Image.fromarray(np.full((4, 5), 400000, dtype=np.int32)).save(tmp_path / "a" / "deep.tiff")
    with pytest.raises(DatasetError, match=r"mode I must keep to 0 \.\.\. 65535"):
        load_dataset(tmp_path)


def test_a_class_without_images_says_which_number_it_has(tmp_path: Path) -> None:
    write(tmp_path, ["a", "c"])
    (tmp_path / "b").mkdir()
    with pytest.raises(DatasetError, match=r"0 = a, 1 = b, 2 = c\): .*the label 1"):
        load_dataset(tmp_path)


def test_an_unknown_class_in_the_test_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train", ["a", "b"])
    write(tmp_path / "test", ["a", "z"])
    with pytest.raises(DatasetError, match="classes z have no folder"):
        load_dataset(tmp_path)


def test_an_empty_folder_says_what_should_be_in_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="one folder per class"):
        load_dataset(tmp_path)


def test_class_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DatasetError, match=r"hold no images$"):
        load_dataset(tmp_path)
    (tmp_path / "a" / "train-0.parquet").touch()
    with pytest.raises(DatasetError, match="a holds a dataset of its own: name that"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "top", [("Train", "Test"), ("training", "testing"), ("train", "val"), ("TRAIN", "Validation")]
)
def test_other_names_of_the_two_splits_are_understood(tmp_path: Path, top: tuple[str, str]) -> None:
    write(tmp_path / top[0], ["a", "b"], count=3)
    write(tmp_path / top[1], ["a", "b"], count=2)
    data = load_dataset(tmp_path)
    assert (len(data.train), len(data.test), data.classes) == (6, 4, 2)


def test_images_for_validation_are_left_out(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("val", 5), ("test", 2)):
        write(tmp_path / name, ["a", "b"], count=count)
    data = load_dataset(tmp_path)
    assert (len(data.train), len(data.test)) == (6, 4)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "vehicles", ["car", "test", "train"]))
    assert data.classes == 3


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        (("train",), "must hold one folder train and one folder test"),
        (("train", "training", "test"), "must hold one folder train and one folder test"),
        (("train", "test", "testing"), "must hold one folder train and one folder test"),
        (("train", "test", "more"), "beside train there is more"),
    ],
)
def test_splits_that_are_not_clear_are_refused(
    tmp_path: Path, tops: tuple[str, ...], message: str
) -> None:
    for top in tops:
        write(tmp_path / top, ["a", "b"])
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path)


def test_a_folder_of_other_files_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("label,pixel0")
    with pytest.raises(DatasetError, match=r"no class folders; .*; there is train\.txt"):
        load_dataset(tmp_path)


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    (tmp_path / "a" / "x.pgm").write_bytes(b"P5 5 4 9999999999 " + bytes(20))
    with pytest.raises(DatasetError, match=r"x\.pgm: not readable as an image"):
        load_dataset(tmp_path)


def test_the_folder_one_is_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path / "pets", ["a", "b"]))
    assert load_dataset(".").name == "pets"


def test_a_name_may_ask_for_a_size(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", ["cat", "bee", "ant"])
    data = load_dataset(f"{folder}@8x6")
    assert (data.name, data.shape) == ("pets@8x6", (1, 8, 6))
    same = load_dataset(folder, size=(8, 6))
    assert torch.equal(data.train.images, same.train.images)
    assert load_test_images(f"{folder}@8x6").shape == (1, 8, 6)
    # A folder that is called so is taken as it is.
    real = write(tmp_path / "real@8x6", ["cat", "bee", "ant"])
    assert load_dataset(real).shape == (1, 4, 5)
    assert load_dataset("digits@12x10").shape == (1, 12, 10)
    with pytest.raises(DatasetError, match="digit"):
        load_dataset("digts@12x10")


def test_commands_and_studies_take_such_names(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", ["cat", "bee", "ant"])
    shown = CliRunner().invoke(app, ["datasets", f"{folder}@8x6"])
    assert shown.exit_code == 0, shown.output
    assert "[1, 8, 6]" in shown.stdout
    config = make_config({"dataset": "digits@12x10"})
    assert (config.name, config.versions.recipe) == ("digits", "small")
