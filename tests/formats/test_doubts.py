"""What is odd about a network is said, with the feed that would be right."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from torch import nn

import nversion as nv
from nversion.errors import InputError
from nversion.formats import doubts_of, load_version, with_classes
from nversion.formats.writing import quiet

DATA = nv.load_dataset("digits")
TEST = DATA.test


@functools.cache
def trained() -> nn.Sequential:
    recipe = nv.Recipe(optimiser="adamw", learning_rate=4e-3, epochs=15, batch_size=64)
    architecture = nv.Architecture.parse("flatten\ndense, 48, relu")
    return nv.train(architecture, DATA, recipe, seed=1).model  # type: ignore[return-value]


def version(tmp_path: Path, model: nn.Module, feed: str = "") -> nv.Version:
    with quiet():
        program = torch.export.export(
            model.eval(), (TEST.images[:2],), dynamic_shapes=({0: torch.export.Dim("n")},)
        )
        torch.export.save(program, tmp_path / "net.pt2")
    return load_version(tmp_path / "net.pt2", feed or None)


def doubts(found: nv.Version) -> list[str]:
    return doubts_of(found, TEST.images, TEST.labels, DATA.class_names)


def test_nothing_is_said_of_what_is_right(tmp_path: Path) -> None:
    assert doubts(version(tmp_path, trained())) == []
    soft = nn.Sequential(trained(), nn.Softmax(1))
    assert doubts(version(tmp_path, soft)) == []


def test_swapped_classes_and_what_puts_them_right(tmp_path: Path) -> None:
    order = [1, 0, *range(2, 10)]
    swap = nn.Linear(10, 10, bias=False)
    swap.weight = nn.Parameter(torch.eye(10)[order])
    found = version(tmp_path, nn.Sequential(trained(), swap))
    (said,) = doubts(found)
    assert "0 and 1 are swapped on" in said
    assert "--input classes=1:0:2:3:4:5:6:7:8:9 it would be right" in said
    told = load_version(tmp_path / "net.pt2", "classes=1:0:2:3:4:5:6:7:8:9")
    assert doubts(with_classes(told, DATA.class_names)) == []


class Scaled(nn.Module):
    """A network of images in another range."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.network, self.low, self.width = trained(), low, high - low

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.network((images - self.low) / self.width)
        return result


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (1.0, 0.0)])
def test_a_wrong_range_is_told(tmp_path: Path, low: float, high: float) -> None:
    said = " ".join(doubts(version(tmp_path, Scaled(low, high))))
    assert f"with --input range={low:g}:{high:g}" in said
    told = load_version(tmp_path / "net.pt2", f"range={low:g}:{high:g}")
    assert doubts(told) == []


def test_rows_for_columns_are_told(tmp_path: Path) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = trained()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.network(images.transpose(2, 3))
            return result

    said = " ".join(doubts(version(tmp_path, Turned())))
    assert "with rows and columns exchanged" in said


def test_chance_and_a_constant_answer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    said = doubts(version(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))
    assert "naming the most frequent class gives" in said[0]
    constant = nn.Linear(64, 10)
    constant.weight, constant.bias = (
        nn.Parameter(torch.zeros(10, 64)),
        nn.Parameter(torch.eye(10)[3]),
    )
    (line,) = doubts(version(tmp_path, nn.Sequential(nn.Flatten(), constant)))
    assert "answers 3 to all of" in line


def test_probabilities_that_were_said_to_be_logits(tmp_path: Path) -> None:
    soft = nn.Sequential(trained(), nn.Softmax(1))
    (said,) = doubts(version(tmp_path, soft, "outputs=logits"))
    assert "looks like probabilities; say outputs=probabilities" in said
    with pytest.raises(InputError, match="is said to give logit, but gives 10 numbers"):
        version(tmp_path, soft, "outputs=logit")


def test_a_version_of_some_classes_never_votes_for_others(tmp_path: Path) -> None:
    eight = nn.Linear(10, 8, bias=False)
    eight.weight = nn.Parameter(torch.eye(10)[2:])
    version(tmp_path, nn.Sequential(trained(), eight))
    names = ":".join(map(str, range(2, 10)))
    found = with_classes(load_version(tmp_path / "net.pt2", f"classes={names}"), DATA.class_names)
    assert found.record.classes == 10
    votes = nv.Program([found.model]).vote(TEST.images).labels
    assert int(votes.min()) >= 2
    known = TEST.labels >= 2
    assert float((votes == TEST.labels)[known].float().mean()) > 0.9
    labels = votes[:3]
    assert bool((nv.certify(found.model, TEST.images[:3], labels, norm=2) > 0).all())
    with pytest.raises(InputError, match="knows a class '2', which is not among"):
        with_classes(load_version(tmp_path / "net.pt2", f"classes={names}"), ["a", "b"])
