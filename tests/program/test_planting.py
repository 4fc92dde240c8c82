"""Faults planted into stored outputs: against the vote itself, and against planted networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nversion.adversarial import wilson_interval
from nversion.errors import InputError
from nversion.program import FaultCurve, Program, plant_faults, voter_names
from nversion.program.injection import inject
from nversion.program.planting import PLANTED, fault_counts


def _versions(seed: int, versions: int = 5, count: int = 40) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=draws)
    logits = torch.randn(versions, count, 4, generator=draws)
    logits[:, torch.arange(count), labels] += 3.0
    return logits, labels


@pytest.mark.parametrize("versions", [1, 2, 3, 5, 12, 13, 100, 2048])
def test_the_numbers_of_faulty_versions_reach_from_none_to_above_half(versions: int) -> None:
    counts = fault_counts(versions)
    assert counts == sorted(set(counts))
    assert counts[0] == 0
    assert counts[-1] <= versions
    assert counts[-1] > versions / 2 or versions == 1
    if versions > 1:
        assert {versions - versions // 2 - 1, versions - versions // 2} <= set(counts)


def test_without_faults_all_kinds_are_the_vote_itself() -> None:
    logits, labels = _versions(0)
    voters = [name for name in voter_names() if name != "mean-logits"]
    curves = plant_faults(logits, labels, voters, orders=2)
    assert [(one.kind, one.voter) for one in curves] == [(k, v) for k in PLANTED for v in voters]
    for curve in curves:
        program = Program([_Answers(one) for one in logits], curve.voter)
        verdict = program.vote(_rows(len(labels)))
        right = int((verdict.labels == labels).sum())
        assert curve.right[0] == right / len(labels)
        assert curve.withheld[0] == pytest.approx(float((verdict.labels < 0).double().mean()))
        low, high = wilson_interval(right, len(labels))
        assert (curve.right_low[0], curve.right_high[0]) == pytest.approx((low, high))


class _Answers(nn.Module):
    """A network whose answer to the image of a row's number is known."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits[(images[:, 0, 0, 0] * 1000).round().long()]


def _rows(count: int) -> Tensor:
    return (torch.arange(count) / 1000)[:, None, None, None].expand(count, 1, 2, 2).contiguous()


@pytest.mark.parametrize("voter", ["majority", "plurality", "mean-softmax"])
def test_silent_versions_are_those_that_raise_in_a_program(voter: str) -> None:
    logits, labels = _versions(1)
    (curve,) = plant_faults(logits, labels, [voter], kinds=["silent"], counts=[0, 5], orders=3)
    assert curve.withheld == [pytest.approx(1.0 - curve.right[0] - curve.wrong[0]), 1.0]
    # All choices of one of five: the ends over many orders are those of the programs.
    (many,) = plant_faults(logits, labels, [voter], kinds=["silent"], counts=[1], orders=40)
    models = [_Answers(one) for one in logits]
    rights = []
    for place in range(5):
        mixed = [inject(one, "raise") if i == place else one for i, one in enumerate(models)]
        verdict = Program(mixed, voter).vote(_rows(len(labels)))
        rights.append(float((verdict.labels == labels).double().mean()))
    assert (many.right_least[0], many.right_most[0]) == (min(rights), max(rights))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), voter=st.sampled_from(["majority", "plurality", "mean-softmax"]))
def test_shares_are_shares_and_lie_within_their_intervals(seed: int, voter: str) -> None:
    logits, labels = _versions(seed, versions=4, count=15)
    for curve in plant_faults(logits, labels, [voter], orders=2, seed=seed):
        columns = zip(
            *(curve.right, curve.right_low, curve.right_high, curve.right_least, curve.right_most),
            *(curve.wrong, curve.wrong_low, curve.wrong_high, curve.withheld),
            strict=True,
        )
        for right, low, high, least, most, wrong, bad_low, bad_high, withheld in columns:
            assert 0 <= low <= right <= high <= 1
            assert least <= right <= most
            assert 0 <= bad_low <= wrong <= bad_high <= 1
            assert right + wrong + withheld == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(PLANTED))
def test_one_of_five_changes_no_verdict_on_which_the_other_four_agree(seed: int, kind: str) -> None:
    logits, labels = _versions(seed)
    agreed = (logits.argmax(dim=2) == labels).all(dim=0)
    if not bool(agreed.any()):
        return
    known = logits[:, agreed], labels[agreed]
    for curve in plant_faults(*known, ["plurality", "majority"], kinds=[kind], counts=[1]):
        assert curve.right_least == [1.0]


def test_liars_in_the_majority_are_believed() -> None:
    logits, labels = _versions(2)
    for curve in plant_faults(logits, labels, ["majority", "plurality"], kinds=["lying"]):
        assert curve.wrong[3:] == [1.0, 1.0]


def test_stuck_versions_see_an_image_of_the_set() -> None:
    logits, labels = _versions(3)
    (curve,) = plant_faults(logits, labels, ["consensus"], kinds=["stuck"], counts=[5], orders=1)
    # All stuck alike: one class for all images.
    assert curve.right[0] in [float((labels == one).double().mean()) for one in range(4)]


def test_the_same_seed_gives_the_same_numbers() -> None:
    logits, labels = _versions(4)
    once: list[FaultCurve] = plant_faults(logits, labels, ["majority"], seed=3)
    assert once == plant_faults(logits, labels, ["majority"], seed=3)
    assert once != plant_faults(logits, labels, ["majority"], seed=4)
    # A kind's numbers do not depend on which others are planted, nor on other counts.
    (alone,) = plant_faults(logits, labels, ["majority"], kinds=["stuck"], counts=[2], seed=3)
    assert alone.right[0] == once[PLANTED.index("stuck")].right[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kinds": ["silence"]}, "did you mean 'silent'"),
        ({"counts": [0, 6]}, "0 to 5"),
        ({"counts": [1, 0]}, "from small to large"),
        ({"orders": 0}, "orders"),
        ({"logits": torch.full((2, 3, 4), torch.nan)}, "finite"),
        ({"logits": torch.zeros(2, 3)}, "versions, count, classes"),
    ],
)
def test_malformed_arguments_are_refused(change: dict[str, object], said: str) -> None:
    logits, labels = _versions(5, count=3)
    arguments = {"logits": logits, "labels": labels, "voters": ["majority"], **change}
    with pytest.raises(InputError, match=said):
        plant_faults(**arguments)  # type: ignore[arg-type]
