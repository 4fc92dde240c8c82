"""Data sets in the layouts of Keras, Kaggle, Hugging Face, CIFAR and EMNIST."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nversion as nv
from nversion.datasets import oddities
from nversion.datasets.folder import load_image_folder
from nversion.errors import DatasetError, InputError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (20, 4, 4), dtype=np.uint8)
LABELS = np.arange(20) % 2


def test_keras_own_mnist_archive(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "mnist.npz",
        x_train=IMAGES,
        y_train=LABELS.astype(np.uint8),
        x_test=IMAGES[:6],
        y_test=LABELS[:6].astype(np.uint8),
    )
    data = nv.load_dataset(tmp_path / "mnist.npz")
    assert (len(data.train), len(data.test), data.shape) == (20, 6, (1, 4, 4))


@pytest.mark.parametrize("named", [True, False])
def test_tables_as_kaggle_has_them(tmp_path: Path, named: bool) -> None:
    rows = np.concatenate([LABELS[:, None], IMAGES.reshape(20, -1)], axis=1)
    head = "label," + ",".join(f"pixel{i}" for i in range(16)) if named else ""
    np.savetxt(tmp_path / "train.csv", rows, "%d", ",", header=head, comments="")
    test = rows[:4, 1:] if named else rows[:4]
    np.savetxt(tmp_path / "test.csv", test, "%d", ",", header=head[6:], comments="")
    data = nv.load_dataset(tmp_path)
    # Kaggle's own test images have no labels: then a fifth of the others is set aside.
    assert len(data.test) == 4
    assert len(data.train) == (16 if named else 20)
    alone = nv.load_dataset(tmp_path / "train.csv")
    assert torch.equal(alone.train.images[0, 0], torch.from_numpy(IMAGES[0] / np.float32(255)))
    if named:
        with pytest.raises(DatasetError, match=r"name the file to train on"):
            nv.load_dataset(tmp_path / "test.csv")
    (tmp_path / "odd.csv").write_text("a,b\n1,x\n")
    with pytest.raises(DatasetError, match="not readable as a table of numbers"):
        nv.load_dataset(tmp_path / "odd.csv")


def test_parquet_as_hugging_face_has_it(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def encoded(image: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        return file.getvalue()

    (tmp_path / "data").mkdir()
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for part, count in (("train", 20), ("test", 6)):
        rows = [{"bytes": encoded(one), "path": None} for one in IMAGES[:count]]
        table = arrow.table({"image": rows, "label": LABELS[:count]})
        place = tmp_path / "data" / f"{part}-00000-of-00001.parquet"
        parquet.write_table(table.replace_schema_metadata(metadata), place)
    data = nv.load_dataset(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (20, 6)
    assert torch.equal(data.test.images[3, 0], torch.from_numpy(IMAGES[3] / np.float32(255)))


def test_cifar_in_its_binary_form_and_never_pickled(tmp_path: Path) -> None:
    place = tmp_path / "cifar-10-batches-bin"
    place.mkdir()
    records = RANDOM.integers(0, 256, (10, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(10)
    for name in [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]:
        (place / name).write_bytes(records.tobytes())
    data = nv.load_dataset(tmp_path)
    assert data.class_names[:2] == ("airplane", "automobile")
    assert (len(data.train), data.shape) == (50, (3, 32, 32))
    red = torch.from_numpy(records[0, 1:1025].reshape(32, 32) / np.float32(255))
    assert torch.equal(data.test.images[0, 0], red)
    (place / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(DatasetError, match="no whole number of records"):
        nv.load_dataset(place)
    pickled = tmp_path / "python" / "cifar-10-batches-py"
    pickled.mkdir(parents=True)
    for name in ("data_batch_1", "test_batch"):
        (pickled / name).write_bytes(pickle.dumps({}))
    with pytest.raises(DatasetError, match="never opened; take its binary version"):
        nv.load_dataset(tmp_path / "python")


def test_emnist_is_put_upright_and_its_letters_named(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("test", 6)):
        start = tmp_path / f"emnist-letters-{part}"
        shape = struct.pack(">4I", 0x803, count, 4, 4)
        Path(f"{start}-images-idx3-ubyte").write_bytes(shape + IMAGES[:count].tobytes())
        labels = bytes((LABELS[:count] + 1).tolist())
        Path(f"{start}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n")
    data = nv.load_dataset(tmp_path)
    assert data.class_names == ("A", "B")
    assert data.test.labels.tolist() == LABELS[:6].tolist()
    assert torch.equal(data.test.images[0, 0], torch.from_numpy(IMAGES[0].T / np.float32(255)))
    (tmp_path / "emnist-digits-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(DatasetError, match="holds emnist-digits, emnist-letters; put the files"):
        nv.load_dataset(tmp_path)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(IMAGES[0])
    if mode in ("I;16", "I"):
        image = Image.fromarray(IMAGES[0].astype(np.uint16) * 257)
        image = image if mode == "I;16" else image.convert("I")
    elif mode == "F":
        image = Image.fromarray(IMAGES[0].astype(np.float32) / 255)
    else:
        image = grey.convert("RGB").convert(mode) if mode in ("P", "CMYK") else grey.convert(mode)
    ending = "tiff" if mode in ("CMYK", "F", "I") else "png"
    for name in ("a", "b"):
        for count in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{count}.{ending}")
    data = load_image_folder(tmp_path)
    wanted = torch.from_numpy(IMAGES[0] / np.float32(255))
    if mode == "1":
        wanted = torch.from_numpy(np.array(grey.convert("1"), dtype=np.float32))
    tolerance = 0.15 if mode in ("P", "CMYK") else 1e-6
    for channel in data.train.images[0]:
        assert torch.allclose(channel, wanted, atol=tolerance)


def test_what_is_transparent_is_seen_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for count in range(2):
            clear.save(tmp_path / name / f"{count}.png")
    assert bool((load_image_folder(tmp_path).train.images == 1.0).all())


def test_images_are_resized_on_request(tmp_path: Path) -> None:
    for name, side in (("a", 8), ("b", 12)):
        (tmp_path / name).mkdir()
        for count in range(2):
            Image.new("L", (side, side), 100).save(tmp_path / name / f"{count}.png")
    with pytest.raises(DatasetError, match="or be resized"):
        nv.load_dataset(tmp_path)
    data = nv.load_dataset(tmp_path, size=(6, 5))
    assert data.shape == (1, 6, 5)
    assert torch.allclose(data.train.images, torch.tensor(100 / 255))
    assert nv.load_dataset("digits", size=(16, 16)).shape == (1, 16, 16)
    with pytest.raises(InputError, match="two numbers above 0"):
        nv.load_dataset("digits", size=(0, 16))


def test_what_is_odd_about_labels_is_said() -> None:
    names = ["a", "b", "c"]
    assert oddities(torch.arange(300) % 3, names) == []
    (few,) = oddities(torch.tensor([0, 1, 2] * 3 + [0]), names)
    assert few == "there are 10 test images only: one of them is 10%"
    (missing,) = oddities(torch.arange(100) % 2, names)
    assert missing == "no test images are of the class c, of which nothing is measured"
    (many,) = oddities(torch.tensor([0] * 200 + [1] * 50 + [2] * 2), names)
    assert "of a there are 200 test images, of c 2: naming the most frequent class" in many
