"""The reliability of a study's versions: what the units write is what the library says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nversion as nv
from nversion.datasets import load_dataset
from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensors, sha256_of_file, write_tensors
from nversion.program import vote_outputs
from nversion.program.coverage import coverage_curve
from nversion.reliability import plurality_growth
from nversion.study.sections import FailuresTogether, Selection
from nversion.study.units.base import MadeFrom
from nversion.study.units.choosing import ChooseVersions
from nversion.study.units.covering import CoverImages
from nversion.study.units.failing import MeasureFailures
from nversion.study.units.stored import StoredOutputs
from nversion.study.units.trained import TrainedVersion

IMAGES, CLASSES, VERSIONS = 300, 5, 6


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.randint(CLASSES, (IMAGES,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def logits(labels: torch.Tensor) -> torch.Tensor:
    draws = torch.Generator().manual_seed(2)
    easy = 3.0 * torch.rand(IMAGES, generator=draws)
    found = torch.randn(VERSIONS, IMAGES, CLASSES, generator=draws)
    found[:, torch.arange(IMAGES), labels] += easy
    return found


def stored(folder: Path, tensors: torch.Tensor, name: str) -> tuple[MadeFrom, ...]:
    paths = [folder / f"{name}-{place}.safetensors" for place in range(len(tensors))]
    for path, one in zip(paths, tensors, strict=True):
        write_tensors(path, {name: one.clone()})
    return tuple(MadeFrom(path, sha256_of_file(path)) for path in paths)


def failing(folder: Path, answers: tuple[MadeFrom, ...], **others: object) -> MeasureFailures:
    values: dict[str, object] = {
        "name": "reliability/test",
        "answers": answers,
        "tensor": "logits",
        "originals": None,
        "data": "",
        "resamples": 50,
        "orders": 20,
        "seed": 4,
        "path": folder / "failures.json",
        "matrices": folder / "matrices.safetensors",
        **others,
    }
    return MeasureFailures(**values)  # type: ignore[arg-type]


def test_the_numbers_are_those_of_the_library(
    tmp_path: Path, logits: torch.Tensor, labels: torch.Tensor
) -> None:
    unit = failing(tmp_path, stored(tmp_path, logits, "logits"), labels=labels.numpy())
    unit.run()
    found = FailuresTogether.read(unit.path)
    predictions = logits.argmax(dim=2)
    measures = nv.diversity(predictions, labels, resamples=50, seed=4)
    assert found.measures["correlation"].value == measures.mean("correlation")
    assert (found.measures["q"].low, found.measures["q"].high) == measures.interval("q")
    matrices, _ = read_tensors(unit.matrices)
    assert np.array_equal(matrices["kappa"].numpy(), measures.kappa, equal_nan=True)
    assert found.correlation[1][2] == pytest.approx(measures.correlation[1, 4], abs=1e-4)
    failures = nv.coincident_failures(predictions != labels, labels)
    assert found.failures.z == failures.knight_leveson_z
    assert found.failures.within_classes_z == failures.within_classes_z
    assert found.failures.histogram == failures.histogram.tolist()
    assert found.plurality is not None
    assert found.plurality.predicted == plurality_growth(predictions, labels).right.tolist()
    for n in range(1, VERSIONS + 1):
        for name, growth in (("majority", found.majority), ("plurality", found.plurality)):
            voted = vote_outputs(logits[:n].softmax(dim=2), name).labels
            assert growth.measured[n - 1] == pytest.approx(float((voted == labels).double().mean()))


def test_a_set_of_failures_is_not_tested_for_independence(
    tmp_path: Path, logits: torch.Tensor, labels: torch.Tensor
) -> None:
    answers = stored(tmp_path, logits, "logits")
    originals = np.arange(IMAGES) // 5
    unit = failing(tmp_path, answers, labels=labels.numpy(), originals=originals)
    unit.run()
    found = FailuresTogether.read(unit.path)
    assert found.failures.expected_coincidences is not None
    assert (found.failures.z, found.failures.p_value, found.failures.beta_binomial_p) == (None,) * 3
    assert found.majority.low == []
    expected = nv.diversity(
        logits.argmax(dim=2), labels, resamples=50, seed=4, clusters=originals
    ).interval("disagreement")
    measured = found.measures["disagreement"]
    assert (measured.low, measured.high) == expected


def test_without_images_there_is_nothing(tmp_path: Path) -> None:
    answers = stored(tmp_path, torch.zeros(2, 0, CLASSES), "logits")
    unit = failing(tmp_path, answers, labels=np.zeros(0, dtype=np.int64))
    unit.run()
    assert FailuresTogether.read(unit.path) == FailuresTogether()
    assert all(path.is_file() for path in unit.outputs())


def test_a_curve_ends_at_what_its_voter_decides(
    tmp_path: Path, logits: torch.Tensor, labels: torch.Tensor
) -> None:
    unit = CoverImages(
        name="reliability/voters/test",
        answers=stored(tmp_path, logits, "logits"),
        tensor="logits",
        labels=labels.numpy(),
        data="",
        voters=("plurality", "mean-softmax"),
        path=tmp_path / "curves.json",
    )
    unit.run()
    found = FailuresTogether.read(unit.path).voters
    assert [one.voter for one in found] == ["mean-softmax", "plurality"]
    for one in found:
        verdict = vote_outputs(logits.softmax(dim=2), one.voter)
        curve = coverage_curve(verdict, labels)
        assert one.area == curve.area
        assert one.coverage[-1] == pytest.approx(one.decided, abs=1e-6)
        assert one.accuracy[-1] * one.decided == pytest.approx(one.right, abs=1e-5)
        assert set(np.round(one.accuracy, 4)) <= set(np.round(curve.accuracy, 4))


def test_a_choice_is_judged_on_images_that_it_was_not_made_on(tmp_path: Path) -> None:
    data = load_dataset("digits")
    draws = torch.Generator().manual_seed(7)
    versions, test, training = [], [], []
    rows = np.arange(0, 400, dtype=np.int64)
    for place in range(3):
        architecture = nv.Architecture.parse(f"flatten\ndense, {8 + 4 * place}, relu", name="v")
        version = nv.train(
            architecture, data, nv.load_recipe("small").model_copy(update={"epochs": 2}), place
        )
        folder = version.save(tmp_path / f"v{place}")
        versions.append(TrainedVersion(f"v{place}", str(place), folder))
        test.append(version.model(data.test.images).detach())
        training.append(version.model(data.train.images[torch.from_numpy(rows)]).detach())
    on_set = torch.randn(3, 40, 10, generator=draws).softmax(dim=2)
    set_labels = on_set.sum(dim=0).argmax(dim=1)
    files = zip(
        stored(tmp_path, on_set, "probabilities"),
        stored(tmp_path, torch.stack(test), "logits"),
        strict=True,
    )
    training_folder = tmp_path / "training"
    asked = torch.stack(training).softmax(dim=2)
    unit = ChooseVersions(
        name="reliability/selection",
        versions=tuple(versions),
        answers=tuple(StoredOutputs(f"v{n}", *pair) for n, pair in enumerate(files)),
        on_training=stored(training_folder, asked, "probabilities"),
        shared=SharedDataset.of(data),
        rows=rows,
        white_box_images=20,
        labels=set_labels.numpy(),
        voter="mean-softmax",
        path=tmp_path / "selection.json",
    )
    unit.run()
    found = Selection.read(unit.path)
    assert (found.images, found.white_box_images) == (400, 20)
    assert [one.name for one in found.chosen] == ["accuracy", "coincident-failures", "white-box"]
    assert [len(one.members) for one in found.sized] == [2, 2, 2]
    everyone = torch.stack(test).softmax(dim=2)
    for one in (found.full, *found.chosen, *found.sized):
        members = [int(name[1:]) for name in one.members]
        voted = vote_outputs(everyone[members]).labels == data.test.labels
        assert one.test_accuracy == pytest.approx(float(voted.double().mean()))
    assert found.full.adversarial_accuracy == 1.0
    assert all(
        one.train_accuracy is not None
        and found.full.train_accuracy is not None
        and one.train_accuracy >= found.full.train_accuracy
        for one in found.chosen
    )
    assert found.test.best_first[-1] == pytest.approx(found.test.chosen[-1])
    assert max(one.distance or 0.0 for one in found.sized) == found.sized[2].distance
