"""More versions change nothing but time: not the memory of the vote, not what is read at once."""

from __future__ import annotations

import dataclasses
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nversion.adversarial import AttackRun
from nversion.files import write_tensors
from nversion.program import AccuracyCounter, accuracy_by_n, accuracy_by_n_orders
from nversion.program.verdict import BLOCK, BLOCK_VALUES, blocks
from nversion.report import write_report
from nversion.study import make_config, run_study
from nversion.study.units import voting

RECIPE = """
optimiser = "adamw"
learning_rate = 2e-2
schedule = "one-cycle"
epochs = 3
batch_size = 64
max_steps = 60
"""


def simulated(versions: int, folder: Path) -> dict[str, Any]:
    """The configuration of a study of many tiny versions."""
    folder.mkdir()
    for number in range(1, versions + 1):
        (folder / f"t{number:04d}.txt").write_text("flatten\ndense, 8, relu")
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = str(folder / "recipe.toml")
    return {
        "dataset": "digits",
        "versions": {"count": versions, "recipe": recipe, "architectures": str(folder)},
        "attacks": {"names": ["gradient-sign"], "images": 2},
        "program": {"orders": 20},
        "distillation": {"recipe": recipe},
        "whole": {"images": 0},
        "evaluation": {"frequency_images": 2},
        "certification": {"images": 2, "norms": [2], "domains": ["ball"], "program_images": 0},
        "run": {"workers": 1},
    }


@pytest.mark.parametrize("versions", [12, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_study_of_many_versions_is_the_same_in_the_large(
    versions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, most = [0], [0]
    load = AttackRun.load.__func__  # type: ignore[attr-defined]

    class Counted(AttackRun):
        def __post_init__(self) -> None:
            super().__post_init__()
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self) -> None:
            alive[0] -= 1

    monkeypatch.setattr(AttackRun, "load", classmethod(lambda cls, path: load(Counted, path)))
    config = make_config(simulated(versions, tmp_path / "texts"))
    results = run_study(config, tmp_path / "study")
    assert results.study.failures == []
    assert len(results.program.accuracy_by_n) == versions
    assert len(results.transfer.accuracy) == versions
    # The runs are gone through, not held: a few of student and baseline are in memory at once.
    assert most[0] <= 4
    said: list[str] = []
    run_study(config, tmp_path / "study", say=said.append)
    assert f"training versions: {versions} kept" in said
    assert not any("to do" in line for line in said)
    page = write_report(results, tmp_path / "report")
    assert page.stat().st_size < 20e6
    if versions >= 1000:
        # In kilobytes; most of it is the interpreter and its libraries.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000


@pytest.mark.parametrize(("versions", "images"), [(3, 7000), (40, 700), (300, 40)])
def test_the_vote_looks_at_a_bounded_number_of_outputs_at_once(
    versions: int, images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(versions, images, 10, generator=generator).softmax(dim=2)
    labels = torch.randint(10, (images,), generator=generator)
    files = [tmp_path / f"{n}.safetensors" for n in range(versions)]
    for file, own in zip(files, outputs, strict=True):
        write_tensors(file, {"probabilities": own})
    seen = []
    add = AccuracyCounter.add

    def counted(self: AccuracyCounter, probabilities: Tensor, labels: Tensor) -> None:
        seen.append(probabilities.numel())
        add(self, probabilities, labels)

    monkeypatch.setattr(AccuracyCounter, "add", counted)
    monkeypatch.setattr(voting, "BLOCK_VALUES", 20_000)
    names = [file.stem for file in files]
    found, verdicts = voting.accuracies_on_set(names, files, labels, "mean-softmax", 5, 0)
    assert max(seen) <= 20_000
    assert sum(seen) == outputs.numel()
    monkeypatch.undo()
    assert found["accuracy_by_n"] == accuracy_by_n(outputs, labels)
    assert float((verdicts == labels).double().mean()) == found["accuracy"]
    band = accuracy_by_n_orders(outputs, labels, orders=5)
    assert found["accuracy_by_n_orders"] == dataclasses.asdict(band)


@pytest.mark.parametrize("values", [1, 300, 20_480, 10**9])
def test_ballots_are_held_for_as_many_images_as_fit(values: int) -> None:
    rows = [part.stop - part.start for part in blocks(3000, values)]
    assert sum(rows) == 3000
    assert max(rows) <= BLOCK
    assert max(rows) == 1 or max(rows) * values <= BLOCK_VALUES
