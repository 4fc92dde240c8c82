from __future__ import annotations

import pytest
import torch
from torch import Tensor

import nversion as nv
from nversion.distillation import Distilled, distil, recipes, teacher_labels

SMALL = nv.Architecture.parse("flatten\ndense 16 relu\ndropout 0.2")
QUICK = nv.Recipe(
    optimiser="adamw", learning_rate=4e-3, schedule="one-cycle", epochs=3, batch_size=64
)


@pytest.fixture(scope="module")
def digits() -> nv.Dataset:
    return nv.load_dataset("digits")


@pytest.fixture(scope="module")
def program(digits: nv.Dataset) -> nv.Program:
    versions = [nv.train(SMALL, digits, QUICK, seed, name=f"s{seed}") for seed in range(2)]
    return nv.Program([version.model for version in versions])


@pytest.fixture(scope="module")
def distilled(program: nv.Program, digits: nv.Dataset) -> Distilled:
    return distil(program, digits, SMALL, QUICK, seed=3)


def weights(version: nv.Version) -> list[Tensor]:
    return list(version.model.state_dict().values())


def test_the_teacher_says_what_the_program_says(program: nv.Program, digits: nv.Dataset) -> None:
    labels = teacher_labels(program, digits.train.images)
    assert labels.shape == (len(digits.train), digits.classes)
    assert torch.allclose(labels, program.outputs(digits.train.images).mean(dim=0), atol=1e-6)


def test_student_and_baseline_differ_in_their_labels_alone(
    distilled: Distilled, digits: nv.Dataset
) -> None:
    baseline = nv.train(SMALL, digits, QUICK, distilled.baseline.record.seed)
    assert all(map(torch.equal, weights(baseline), weights(distilled.baseline)))
    assert distilled.student.record.seed == distilled.baseline.record.seed
    assert not all(map(torch.equal, weights(distilled.student), weights(distilled.baseline)))


def test_a_baseline_does_not_depend_on_the_teacher(
    distilled: Distilled, program: nv.Program, digits: nv.Dataset
) -> None:
    other = distil(nv.Program(list(program.models)[:1]), digits, SMALL, QUICK, seed=3)
    assert all(map(torch.equal, weights(other.baseline), weights(distilled.baseline)))
    assert not all(map(torch.equal, weights(other.student), weights(distilled.student)))


def test_only_the_students_objective_is_another() -> None:
    by_role = recipes(QUICK, "mean-squared-error")
    assert by_role["baseline"] == QUICK
    assert by_role["student"].objective == "mean-squared-error"


def test_advance_is_called_after_each_epoch_of_either(
    program: nv.Program, digits: nv.Dataset
) -> None:
    epochs: list[None] = []
    distil(program, digits, SMALL, QUICK, advance=lambda: epochs.append(None))
    assert len(epochs) == 2 * QUICK.epochs
