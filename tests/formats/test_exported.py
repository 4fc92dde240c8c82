"""Programs of torch.export, read as JSON and numbers alone."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import ArtefactError
from nversion.formats import load_version
from nversion.formats.writing import quiet


class Residual(nn.Module):
    """Convolutions, a branch, and what is written as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.last = nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        values = torch.relu(self.norm(self.first((images - 0.5) / 0.25)))
        values = values + self.second(values)
        values = torch.nn.functional.max_pool2d(values, 2, 2, ceil_mode=True)
        return torch.log_softmax(self.last(torch.flatten(values, 1)), 1)


def saved(folder: Path, model: nn.Module, shape: tuple[int, ...], decompose: bool = False) -> Path:
    with quiet():
        program = torch.export.export(
            model.eval(),
            (torch.rand(2, *shape),),
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )
        program = program.run_decompositions() if decompose else program
        torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


@pytest.mark.parametrize("decompose", [False, True])
def test_a_program_becomes_plain_layers(tmp_path: Path, decompose: bool) -> None:
    torch.manual_seed(0)
    model = Residual().eval()
    version = load_version(saved(tmp_path, model, (1, 12, 12), decompose))
    images = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(version.model(images), model(images), atol=1e-5)
        labels = model(images).argmax(1)
    assert version.record.shape == (1, 12, 12)
    assert bool((nv.certify(version.model, images, labels, norm=2) > 0).all())


def test_pickles_in_it_are_never_opened(tmp_path: Path) -> None:
    path = saved(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))
    marker = tmp_path / "opened"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (marker,))

    trapped = tmp_path / "trap.pt2"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(trapped, "w") as target:
        for name in source.namelist():
            content = pickle.dumps(Trap()) if "sample_inputs" in name else source.read(name)
            target.writestr(name, content)
    assert load_version(trapped).record.classes == 2
    assert not marker.exists()


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt2").write_text("no")
    with pytest.raises(ArtefactError, match=r"not readable as a program of torch\.export"):
        load_version(tmp_path / "text.pt2")


def test_an_operator_that_is_not_converted_is_named(tmp_path: Path) -> None:
    class Sorted(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1).cumsum(1)

    with pytest.raises(ArtefactError, match=r"cumsum.default \('cumsum'\) is not converted"):
        load_version(saved(tmp_path, Sorted(), (1, 2, 2)))
