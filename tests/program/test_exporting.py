"""What leaves as ONNX and torch.export gives the original's outputs, and says what it is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nversion as nv
from nversion.errors import ArtefactError, InputError
from nversion.formats import Source, writing
from nversion.program import voter_names

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


def test_a_version_is_read_back_of_a_program_and_votes_no_more(tmp_path: Path) -> None:
    program = nv.Program([network(seed) for seed in range(3)])
    nv.export(program, tmp_path / "program.pt2", IMAGES)
    with pytest.raises(ArtefactError, match=r"3 versions that vote \(v001, v002, v003\)"):
        nv.load_version(tmp_path / "program.pt2")
    with pytest.raises(ArtefactError, match="none is called 'v004'"):
        nv.load_version(tmp_path / "program.pt2", "key=v004")
    second = nv.load_version(tmp_path / "program.pt2", "key=v002")
    assert second.name == "v002"
    assert second.record.origin is not None
    assert second.record.origin.feed["key"] == "v002"
    with torch.no_grad():
        assert torch.equal(second.model(IMAGES), network(1)(IMAGES))


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_a_program_is_read_back_with_its_vote(tmp_path: Path, ending: str) -> None:
    if ending == ".onnx":
        pytest.importorskip("onnxscript")
    options: dict[str, Any] = {"weights": [1.0, 0.5, 0.75], "abstain": "margin=0.3", "quorum": 2}
    program = nv.Program([network(seed) for seed in range(3)], "majority", **options)
    made = nv.export(program, tmp_path / f"program{ending}", IMAGES)
    assert f'nv.load_program("program{ending}")' in made.card.read_text()
    again = nv.load_program(tmp_path / f"program{ending}")
    first, second = program.vote(IMAGES), again.vote(IMAGES)
    assert first.rules == second.rules
    assert bool((first.labels < 0).any())
    for part in ("labels", "probabilities", "predictions", "agreement"):
        assert torch.equal(getattr(first, part), getattr(second, part))
    plain = [nv.Program(list(one.models), weights=[2.0, 1.0, 1.0]) for one in (program, again)]
    rows = plain[0].vote(IMAGES).labels
    radii = [nv.certify(one, IMAGES[:2], rows[:2], norm=2) for one in plain]
    assert torch.equal(radii[0], radii[1])
    found = [nv.attacks.create("deepfool")(one, IMAGES[:2], rows[:2]) for one in plain]
    assert torch.equal(found[0].images, found[1].images)


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_the_names_of_classes_come_back(tmp_path: Path, ending: str) -> None:
    if ending == ".onnx":
        pytest.importorskip("onnxscript")
    classes = int(network(0)(IMAGES).shape[1])
    words = tuple(f"class {place}" for place in range(classes))
    path = tmp_path / f"one{ending}"
    made = nv.export(network(0), path, IMAGES, class_names=words)
    assert "0 class 0, 1 class 1" in made.card.read_text()
    again = nv.load_version(path)
    assert again.record.class_names == words
    assert Source(path).class_names() == words
    # Of a version that has them they need not be said; numbers say nothing and are left out.
    program = nv.Program([again.model, network(1)])
    both = {"a": again, "b": again}
    nv.export(program, tmp_path / f"two{ending}", IMAGES, versions=both)
    assert nv.load_version(tmp_path / f"two{ending}", "key=b").record.class_names == words
    numbers = [str(place) for place in range(classes)]
    nv.export(network(0), path, IMAGES, class_names=numbers)
    assert nv.load_version(path).record.class_names == ()


def test_every_voter_comes_back(tmp_path: Path) -> None:
    models = [network(seed) for seed in range(3)]
    for name in voter_names():
        program = nv.Program(models, name)
        nv.export(program, tmp_path / "program.pt2", IMAGES)
        again = nv.load_program(tmp_path / "program.pt2")
        assert again.voter == program.voter
        assert torch.equal(again.vote(IMAGES).labels, program.vote(IMAGES).labels), name


def test_a_file_that_holds_no_program_or_a_wrong_one_is_refused(tmp_path: Path) -> None:
    nv.export(network(0), tmp_path / "net.pt2", IMAGES)
    with pytest.raises(InputError, match=r"no program that nversion wrote; nv\.load_version"):
        nv.load_program(tmp_path / "net.pt2")
    with pytest.raises(InputError, match="no such file"):
        nv.load_program(tmp_path / "none.pt2")
    nv.export(nv.Program([network(0), network(1)]), tmp_path / "two.pt2", IMAGES)
    for wrong, said in (
        ({"voter": "oracle"}, "cannot vote as it says: no voter is called 'oracle'"),
        ({"quorum": 9}, "cannot vote as it says: quorum"),
        ({"values": ["nowhere", "linear"]}, "nowhere"),
        ({"versions": ["a", "a"]}, "must have a name and a value each"),
        ({"form": 2}, "none of form 1"),
        ({"weights": "all"}, "weights"),
    ):
        changed = tmp_path / "changed.pt2"
        _change(tmp_path / "two.pt2", changed, wrong)
        with pytest.raises(ArtefactError, match=said):
            nv.load_program(changed)


def _change(path: Path, to: Path, facts: dict[str, Any]) -> None:
    """Copy a file, with other facts in it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name.endswith("extra/nversion"):
                text = json.dumps({**json.loads(text), **facts}).encode()
            new.writestr(name, text)


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
