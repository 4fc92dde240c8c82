"""What leaves as ONNX and torch.export gives the original's outputs, and says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nversion as nv
from nversion.errors import ArtefactError, InputError
from nversion.formats import writing

DATA = nv.load_dataset("digits")
IMAGES, LABELS = DATA.test.images[:20], DATA.test.labels[:20]


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 10)
    ).eval()


@pytest.mark.parametrize("soft", [False, True])
def test_a_network_comes_back_as_it_left(tmp_path: Path, soft: bool) -> None:
    model = nv.as_logits(nn.Sequential(*network(0), nn.Softmax(1))) if soft else network(0)
    made = nv.export(
        model, tmp_path / "net.pt2", IMAGES, LABELS, class_names=["zero", *"123456789"]
    )
    assert made.written.difference < 1e-5
    assert made.written.same_class == 1.0
    again = nv.load_version(tmp_path / "net.pt2")
    with torch.no_grad():
        assert torch.allclose(again.model(IMAGES), network(0)(IMAGES), atol=1e-5)
    card = made.card.read_text()
    assert "Classes: 0 zero, 1 1" in card
    assert made.written.sha256 in card
    assert f"right on {made.accuracy:.2%}" in card


@pytest.mark.parametrize("voter", ["mean-softmax", "majority"])
def test_a_program_leaves_as_onnx(tmp_path: Path, voter: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    program = nv.Program([network(seed) for seed in range(3)], voter)
    made = nv.export(program, tmp_path / "program.onnx", IMAGES)
    session = runtime.InferenceSession(str(tmp_path / "program.onnx"))
    (outputs,) = session.run(None, {"images": IMAGES.numpy()})
    verdict = program.vote(IMAGES)
    decided = verdict.labels >= 0
    found = torch.from_numpy(np.array(outputs))
    assert torch.equal(found.argmax(1)[decided], verdict.labels[decided])
    assert ("abstains" in made.card.read_text()) == (voter == "majority")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.onnx or \.pt2"):
        nv.export(network(0), tmp_path / "net.h5", IMAGES)
    with pytest.raises(InputError, match="no images"):
        nv.export(network(0), tmp_path / "net.pt2", IMAGES[:0])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, run = writing.WRITERS[".pt2"]
    wrong = {".pt2": (write, lambda path, images: run(path, images) + 1.0)}
    monkeypatch.setattr(writing, "WRITERS", wrong)
    with pytest.raises(ArtefactError, match="it is not kept"):
        nv.export(network(0), tmp_path / "net.pt2", IMAGES)
    assert list(tmp_path.iterdir()) == []
