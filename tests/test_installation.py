"""Checks of an installation: good where it is, and bad in words where it is not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nversion import installation
from nversion.installation import EXTRAS, KNOWN_ANSWERS, Check, check_installation
from nversion.program.dispatch import certify

ROOT = Path(__file__).resolve().parents[1]


def test_this_installation_is_good(tmp_path: Path) -> None:
    found = {check.name: check for check in check_installation(tmp_path)}
    assert [check for check in found.values() if check.status == "bad"] == []
    assert {f"known answer: {name}" for name in KNOWN_ANSWERS} <= set(found)
    assert found["dataset mnist"].status == "absent"
    assert "no files of mnist" in found["dataset mnist"].found
    assert "torch" in found["libraries"].found


@pytest.mark.parametrize("wrong", [0.9, 1.1])
def test_a_wrong_radius_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    right = certify

    def other(model: nn.Module, images: Tensor, labels: Tensor, **options: object) -> Tensor:
        return wrong * right(model, images, labels, norm=2, box=None)

    monkeypatch.setattr(installation, "certify", other)
    said = KNOWN_ANSWERS["a linear network's certified radius"]()
    assert said is not None
    assert "exact one" in said


def test_every_extra_is_one_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"benchmarks", "dev", "docs"}
    for extra, distribution in EXTRAS.items():
        assert any(wanted.startswith(distribution) for wanted in extras[extra])


def test_what_raises_is_bad_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no such symbol")

    monkeypatch.setattr(installation, "create", broken)
    checks = [one for one in check_installation() if one.status == "bad"]
    (check,) = checks
    assert check == Check(
        "known answer: a linear network's nearest error",
        "bad",
        "RuntimeError: no such symbol",
        "install the versions of constraints.txt in a new environment",
    )


def test_little_room_for_temporary_files_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "LEAST_SPACE", float("inf"))
    check = installation._temporary_space()
    assert (check.status, "TMPDIR" in check.remedy) == ("bad", True)


def test_the_linear_networks_distance_is_exact() -> None:
    model, image, label, exact = installation._linear()
    apart = model[1].weight[0] - model[1].weight[1]  # type: ignore[index]
    nearest = image - (1 + 1e-4) * exact * (apart / apart.norm()).reshape(image.shape)
    assert nearest.min() >= 0
    assert nearest.max() <= 1
    with torch.no_grad():
        assert model(image).argmax().item() == label.item()
        assert model(nearest).argmax().item() != label.item()
