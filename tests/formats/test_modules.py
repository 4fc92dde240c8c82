"""Formats with code: run only with trust; pickles never."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import warnings
from pathlib import Path

import cloudpickle
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import nversion as nv
from nversion.errors import ArtefactError, InputError
from nversion.formats import Source, load_version

FACTORY = """
from torch import nn

def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

def number():
    return 3
"""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()


def test_torchscript_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network(), torch.rand(2, 1, 4, 4)), str(path))
    with pytest.raises(InputError, match="--trust"):
        load_version(path, "size=1x4x4")
    version, images = load_version(path, "size=1x4x4", trust=True), torch.rand(3, 1, 4, 4)
    with torch.no_grad():
        assert torch.equal(version.model(images), network()(images))
    assert nv.Program([version.model, network()]).vote(images).agreement.min() == 1.0
    # It can be handed to another process, as those of isolated versions are.
    for again in (pickle.loads(cloudpickle.dumps(version.model)), copy.deepcopy(version.model)):
        assert torch.equal(again(images), version.model(images))
        assert not again.training


def test_a_pickle_is_no_torchscript(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "net.pt")
    with pytest.raises(ArtefactError, match=r"a pickle.* is never opened"):
        load_version(tmp_path / "net.pt", "size=1x4x4", trust=True)
    (tmp_path / "net.pkl").write_bytes(b"")
    with pytest.raises(InputError, match="never opened"):
        load_version(tmp_path / "net.pkl", trust=True)


def test_weights_need_a_factory_and_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    save_file(network().state_dict(), path)
    (tmp_path / "factory_of_a_test.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = "size=1x4x4,factory=factory_of_a_test:"
    with pytest.raises(InputError, match="--trust"):
        load_version(path, f"{said}small")
    with pytest.raises(InputError, match="holds weights alone; say"):
        load_version(path, "size=1x4x4", trust=True)
    with pytest.raises(InputError, match=r"must return a torch\.nn\.Module, not int"):
        load_version(path, f"{said}number", trust=True)
    with pytest.raises(InputError, match=r"No module named 'nowhere'; put its folder on PYTHONP"):
        load_version(path, "size=1x4x4,factory=nowhere:small", trust=True)
    with pytest.raises(InputError, match="failed: AttributeError"):
        load_version(path, f"{said}large", trust=True)
    images = torch.rand(3, 1, 4, 4)
    version = load_version(path, f"{said}small", trust=True)
    assert torch.equal(version.model(images), network()(images))
    assert bool((nv.certify(version.model, images, version.model(images).argmax(1), 2) > 0).all())
    save_file({"1.weight": torch.zeros(2, 16)}, path)
    with pytest.raises(ArtefactError, match="does not fit"):
        load_version(path, f"{said}small", trust=True)
    sys.modules.pop("factory_of_a_test", None)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"10": "kite", "9": "jay", "0": "ant"}, ("ant", "jay", "kite")),
        ({"0": "LABEL_0", "1": "LABEL_1"}, ()),
        (None, ()),
    ],
)
def test_what_a_folder_of_hugging_faces_calls_its_classes(
    labels: dict[str, str] | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({} if labels is None else {"id2label": labels})
    )
    assert Source(tmp_path).class_names() == names
    (tmp_path / "config.json").write_text('{"id2label": {"first": "ant"}}')
    with pytest.raises(ArtefactError, match="keys of id2label must be numbers"):
        Source(tmp_path).class_names()


def test_random_outputs_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy_factory.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.line = nn.Linear(4, 3)\n"
        "    def forward(self, x):\n"
        "        return self.line(nn.functional.dropout(x.flatten(1), 0.5))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    save_file(
        {"line.weight": torch.ones(3, 4), "line.bias": torch.zeros(3)}, tmp_path / "n.safetensors"
    )
    with pytest.raises(nv.NVersionError, match=r"Noisy draws at random.*n\.safetensors"):
        load_version(
            tmp_path / "n.safetensors", "size=1x2x2,factory=noisy_factory:Noisy", trust=True
        )
    sys.modules.pop("noisy_factory", None)
