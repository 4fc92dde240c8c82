"""Networks that nobody here trained: their own runtime's accuracy, one vote, sound certificates."""

from __future__ import annotations

import csv
import functools
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

import nversion as nv
from nversion.formats import doubts_of, load_version
from nversion.models import predict

ROOT = Path(__file__).resolve().parents[2].parent / "shared"
NETS = ROOT / "nets"

pytestmark = [
    pytest.mark.nets,
    pytest.mark.long,
    pytest.mark.skipif(not NETS.is_dir(), reason="the networks of others are not here"),
]

ONNX = ("mnist-net_256x2.onnx", "mnist_relu_3_50.onnx")
PUBLISHED = {
    "sdp-mlp": 80.55,
    "sdp-convsmall": 89.40,
    "wk17a-linf01": 98.11,
    "eran-6x100": 96.29,
    "smallcnn-ddn": 99.02,
}
"""Test accuracies in percent, of all 10,000 images."""


@pytest.fixture(scope="module")
def test_split() -> tuple[Tensor, Tensor]:
    for base in (os.environ.get("NVERSION_DATA"), ROOT / "data"):
        if base and (Path(base) / "mnist").is_dir():
            data = nv.load_dataset("mnist", root=base)
            return data.test.images, data.test.labels
    pytest.skip("the MNIST files are not here")


def described(name: str) -> nn.Sequential:
    """Build what the metadata of a file of weights describes: the factory of these files."""
    with safe_open(NETS / f"{name}.safetensors", "pt") as file:
        text = file.metadata()["layers"]
    layers: list[nn.Module] = []
    for part in (piece.strip() for piece in text.split(";")):
        kind, *words = part.split()
        numbers = [int(word) for word in words if word.isdigit()]
        if kind == "conv":
            layers.append(nn.Conv2d(*numbers))  # inputs, outputs, kernel, stride, padding
        elif kind == "linear":
            layers.append(nn.Linear(*numbers))
        else:
            layers.append(nn.MaxPool2d(*numbers) if kind == "maxpool" else nn.Flatten())
        layers += [nn.ReLU()] if "relu" in words else []
    return nn.Sequential(*layers)


@pytest.fixture
def factories(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with a function for each file of weights."""
    module = types.ModuleType("factories_of_nets")
    for name in PUBLISHED:
        vars(module)[name.replace("-", "_")] = functools.partial(described, name)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def weights(name: str, factories: str) -> nv.Version:
    feed = f"size=1x28x28,factory={factories}:{name.replace('-', '_')}"
    return load_version(NETS / f"{name}.safetensors", feed, trust=True)


@pytest.mark.mnist
@pytest.mark.parametrize("name", ONNX)
def test_onnx_files_are_as_accurate_as_in_their_own_runtime(
    name: str, test_split: tuple[Tensor, Tensor]
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    images, labels = (part[:500] for part in test_split)
    version = load_version(NETS / name)
    session = runtime.InferenceSession(str(NETS / name), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [1, *entry.shape[1:]]
    found = [
        session.run(None, {entry.name: image.reshape(shape)})[0].reshape(-1)
        for image in images.numpy()
    ]
    assert torch.equal(predict(version.model, images), torch.from_numpy(np.array(found)).argmax(1))
    assert doubts_of(version, images, labels) == []


@pytest.mark.mnist
@pytest.mark.parametrize("name", ONNX)
def test_no_certificate_reaches_what_was_falsified(
    name: str, test_split: tuple[Tensor, Tensor]
) -> None:
    with (NETS / name.replace(".onnx", ".truth.csv")).open() as file:
        rows = list(csv.DictReader(file))[:6]
    version = load_version(NETS / name)
    places = [int(row["test_index"]) for row in rows]
    images, labels = (part[places] for part in test_split)
    radii = nv.certify(version.model, images, labels, norm=float("inf"))
    for radius, row in zip(radii.tolist(), rows, strict=True):
        assert not row["falsified_linf"] or radius < float(row["falsified_linf"])


@pytest.mark.mnist
def test_mixed_formats_vote_are_attacked_and_certified(
    test_split: tuple[Tensor, Tensor], tmp_path: Path, factories: str
) -> None:
    images, labels = (part[:200] for part in test_split)
    versions = [load_version(NETS / name) for name in ONNX]
    versions.append(weights("eran-6x100", factories))
    nv.export(weights("wk17a-linf01", factories), tmp_path / "wk17a.pt2", images[:20])
    versions.append(load_version(tmp_path / "wk17a.pt2"))
    program = nv.Program([version.model for version in versions])
    verdict = program.vote(images)
    assert float((verdict.labels == labels).double().mean()) > 0.95
    right = (verdict.labels == labels).nonzero().flatten()[:2]
    found = nv.attacks.create("deepfool")(program, images[right], labels[right])
    radii = nv.certify(program, images[right], labels[right], norm=2)
    assert bool((radii > 0).all())
    assert bool((radii < found.l2).all())


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize("name", PUBLISHED)
def test_accuracies_are_those_published(
    name: str, test_split: tuple[Tensor, Tensor], factories: str
) -> None:
    images, labels = test_split
    predictions = predict(weights(name, factories).model, images)
    accuracy = 100.0 * float((predictions == labels).double().mean())
    assert accuracy == pytest.approx(PUBLISHED[name], abs=0.006)
