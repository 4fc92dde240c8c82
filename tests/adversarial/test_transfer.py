from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet, AttackRun, build, transfer_matrix
from nversion.errors import InputError


@pytest.fixture
def case(make_run: Callable[..., AttackRun]) -> tuple[AdversarialSet, Tensor, tuple[str, ...]]:
    adversarial = build([make_run(name, seed=i) for i, name in enumerate("abc")])
    generator = torch.Generator().manual_seed(0)
    predictions = torch.randint(4, (4, len(adversarial)), generator=generator)
    return adversarial, predictions, ("a", "b", "c", "student")


def test_the_matrix_is_accuracy_by_source_and_target(
    case: tuple[AdversarialSet, Tensor, tuple[str, ...]],
) -> None:
    adversarial, predictions, targets = case
    transfer = transfer_matrix(predictions, targets, adversarial)
    correct = (predictions == adversarial.labels).numpy()
    source = adversarial.version_ids.numpy()
    for s in range(3):
        for t in range(4):
            assert transfer.accuracy[s, t] == pytest.approx(correct[t, source == s].mean())
    assert transfer.counts.tolist() == [4, 4, 4]
    assert transfer.overall == pytest.approx(correct.mean(axis=1))
    for t in range(3):
        assert transfer.own[t] == pytest.approx(correct[t, source == t].mean())
        assert transfer.others[t] == pytest.approx(correct[t, source != t].mean())


def test_a_target_that_was_not_attacked_has_no_images_of_its_own(
    case: tuple[AdversarialSet, Tensor, tuple[str, ...]],
) -> None:
    transfer = transfer_matrix(case[1], case[2], case[0])
    assert np.isnan(transfer.own[3])
    assert transfer.others[3] == transfer.overall[3]


def test_the_targets_may_stand_in_another_order(
    case: tuple[AdversarialSet, Tensor, tuple[str, ...]],
) -> None:
    adversarial, predictions, targets = case
    order = [2, 0, 3, 1]
    there = transfer_matrix(predictions, targets, adversarial)
    back = transfer_matrix(predictions[order], [targets[i] for i in order], adversarial)
    assert np.array_equal(back.accuracy, there.accuracy[:, order])
    assert np.array_equal(back.own, there.own[order], equal_nan=True)


def test_for_the_results_file(case: tuple[AdversarialSet, Tensor, tuple[str, ...]]) -> None:
    adversarial, predictions, targets = case
    some = adversarial.version_ids != 1
    transfer = transfer_matrix(predictions[:, some], targets, adversarial.select(some))
    line = json.loads(json.dumps(transfer.to_json(), allow_nan=False))
    assert line["sources"] == ["a", "b", "c"]
    assert line["targets"] == list(targets)
    assert line["accuracy"][1] == [None] * 4
    assert line["accuracy"][0] == list(transfer.accuracy[0])


def test_an_empty_set_has_no_accuracies(
    case: tuple[AdversarialSet, Tensor, tuple[str, ...]],
) -> None:
    adversarial, predictions, targets = case
    nothing = torch.zeros(len(adversarial), dtype=torch.bool)
    transfer = transfer_matrix(predictions[:, nothing], targets, adversarial.select(nothing))
    assert np.isnan(transfer.accuracy).all()
    assert np.isnan(transfer.overall).all()


def test_malformed_predictions_are_refused(
    case: tuple[AdversarialSet, Tensor, tuple[str, ...]],
) -> None:
    adversarial, predictions, targets = case
    with pytest.raises(InputError, match=r"int64 \[4, 12\]"):
        transfer_matrix(predictions.T, targets, adversarial)
    with pytest.raises(InputError, match="int64"):
        transfer_matrix(predictions.float(), targets, adversarial)
    with pytest.raises(InputError, match="different names"):
        transfer_matrix(predictions, ("a", "a", "b", "c"), adversarial)
