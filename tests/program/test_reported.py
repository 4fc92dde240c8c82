"""What users of other ensemble tools ran into, one test for each kind of fault.

scikit-learn 7983 and 13779 (weights), 26398 (ties), DESlib 261 (label against probability), 198
(nought by nought), 130 (who said what), advertorch 17 (state between calls), cleverhans 1098
(log-probabilities as a model's output), PyTorch 88850 (mixed architectures, batch norm), TRADES 3
(dependence on the batch), torchmetrics 1393 (abstentions).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError
from nversion.program import Program, coverage_curve, create_voter, vote_outputs, voter_names
from nversion.program.campaigns.voting import count_votes

IMAGES = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(3))


def networks() -> list[nn.Module]:
    """A linear one, one with dropout, one with batch norm: no two of one class of layers."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return [
            nn.Sequential(nn.Flatten(), nn.Linear(36, 3)),
            nn.Sequential(
                nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
            ),
            nn.Sequential(
                nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
            ),
        ]


def outputs(seed: int = 0, count: int = 200) -> Tensor:
    drawn = torch.randn(5, count, 3, generator=torch.Generator().manual_seed(seed))
    return drawn.softmax(dim=2)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_weights_may_come_as_any_list_of_numbers(kind: type) -> None:
    weights = kind([1.0, 2.0, 0.5, 1.0, 1.0])
    expected = vote_outputs(outputs(), "mean-softmax", [2.0, 4.0, 1.0, 2.0, 2.0])
    found = vote_outputs(outputs(), "mean-softmax", weights)
    assert torch.equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize(
    "weights",
    [[0.0] * 5, [1, 1, 1, 1, -1], [1, 1, 1, 1, float("nan")], [1, 1, 1, 1], [[1, 1, 1, 1, 1]]],
)
def test_weights_that_make_no_mean_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights must be"):
        vote_outputs(outputs(), "mean-softmax", weights)


def test_a_version_that_is_dropped_takes_its_weight_along() -> None:
    weights = torch.tensor([0.2, 3.0, 1.0, 0.7, 2.0])
    kept = torch.tensor([0, 2, 3, 4])
    dropped = vote_outputs(outputs()[kept], "plurality", weights[kept])
    assert torch.equal(
        dropped.labels, vote_outputs(outputs()[kept], "plurality", [0.2, 1.0, 0.7, 2.0]).labels
    )


@pytest.mark.parametrize("name", voter_names())
def test_no_class_is_preferred_but_by_the_rule(name: str) -> None:
    for first, second in itertools.combinations(range(3), 2):
        certain = torch.nn.functional.one_hot(torch.tensor([first, second] * 2), 3).float()
        verdict = vote_outputs(certain[:, None], name)
        tie_goes_down = "the lowest" in verdict.rules.ties
        assert verdict.labels.item() == (first if tie_goes_down else -1)


@pytest.mark.parametrize("name", voter_names())
def test_label_and_probability_agree(name: str) -> None:
    verdict = vote_outputs(outputs(), name)
    named = verdict.labels >= 0
    best = verdict.probabilities[named]
    own = best.gather(1, verdict.labels[named][:, None]).squeeze(1)
    assert bool((own >= best.amax(dim=1) - 1e-6).all())


def test_all_right_and_all_wrong_make_no_nought_by_nought() -> None:
    class Says(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.nn.functional.one_hot(torch.zeros(len(images)).long(), 3).float()

    for label in (0, 1):
        labels = torch.full((12,), label)
        for name in ("plurality", "mean-softmax"):
            found = count_votes(
                {"a": Says(), "b": Says(), "c": Says()}, create_voter(name), IMAGES, labels
            )
            assert found.accuracy == found.curve.area == float(label == 0)
            assert found.to_json()["accuracy_of_covered"] == float(label == 0)


def test_who_said_what_is_kept_for_each_image() -> None:
    verdict = vote_outputs(outputs(), "plurality")
    assert torch.equal(verdict.predictions, outputs().argmax(dim=2))
    share = (verdict.predictions == verdict.labels).double().mean(dim=0)
    named = verdict.labels >= 0
    torch.testing.assert_close(verdict.agreement[named].double(), share[named])


def test_a_program_may_be_attacked_twice_and_keeps_nothing() -> None:
    program = Program(networks()).eval()
    labels = program.vote(IMAGES).labels
    attack = nv.attacks.create("gradient-sign")
    first, second = (attack(program, IMAGES, labels) for _ in range(2))
    assert torch.equal(first.images, second.images)
    for _ in range(2):
        leaf = IMAGES.clone().requires_grad_(True)
        program(leaf).sum().backward()
        assert leaf.grad is not None


def test_an_abstention_is_not_an_error() -> None:
    labels = torch.randint(3, (200,), generator=torch.Generator().manual_seed(1))
    verdict = vote_outputs(outputs(), "majority")
    curve = coverage_curve(verdict, labels)
    named = verdict.labels >= 0
    assert curve.coverage[-1] == pytest.approx(float(named.double().mean()))
    right = (verdict.labels == labels)[named].double().mean()
    assert curve.accuracy[-1] == pytest.approx(float(right))


@pytest.mark.parametrize("training", [True, False])
def test_mixed_versions_say_the_same_of_an_image_in_any_batch(training: bool) -> None:
    program = Program(networks(), "plurality").train(training)
    whole = program.vote(IMAGES)
    for row in range(12):
        alone = program.vote(IMAGES[row : row + 1])
        assert torch.equal(alone.probabilities[0], whole.probabilities[row])
        assert torch.equal(alone.predictions[:, 0], whole.predictions[:, row])
