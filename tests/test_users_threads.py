"""What users of other ensemble tools ran into, tried on what is measured of stored outputs.

Each row is a public thread: where it was, what went wrong there, and a check that it does not here.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import nversion as nv
from nversion.errors import InputError
from nversion.measures import as_answers
from nversion.program.campaigns.table_votes import count_stored_votes
from nversion.program.voters import create_voter
from nversion.reliability import plurality_growth
from nversion.selection import Accuracy, WhiteBox, fit_weights, gram, greedy
from nversion.tables import read_table

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 60)
SCORES = RANDOM.dirichlet(np.ones(4), (5, 60))
CLASSES = SCORES.argmax(axis=2)


def a_criterion() -> WhiteBox:
    margins = RANDOM.normal(1.0, 1.0, (5, 12, 4))
    return WhiteBox(margins, gram(RANDOM.normal(size=(5, 12, 4, 9))), LABELS[:12])


def weights_of_any_kind_are_taken_and_bad_ones_refused() -> None:
    criterion = a_criterion()
    given = [1.0, 2.0, 0.0, 1.0, 1.0]
    expected = criterion.weighted_score(given)
    assert criterion.weighted_score(np.array(given)) == expected
    assert criterion.weighted_score(torch.tensor(given)) == expected
    for bad in ([0.0] * 5, [-1.0, 1, 1, 1, 1], [float("nan"), 1, 1, 1, 1], [1.0] * 4):
        with pytest.raises(InputError, match="weights must be one for each of the 5 versions"):
            criterion.weighted_score(bad)
    # A version that is left out has weight 0, and the others keep theirs.
    assert (fit_weights(criterion, size=2, steps=5) > 0).sum() == 2


def no_class_is_favoured_by_ties() -> None:
    for one in range(4):
        for other in range(4):
            if one != other:
                votes = np.array([[one], [one], [other], [other]])
                assert Accuracy(votes, [one]).score(range(4)) == 0.0
                assert plurality_growth(votes, [one]).right[3] == 0.0
                lowest = plurality_growth(votes, [one], ties="lowest").right[3]
                assert lowest == pytest.approx(float(one < other))


def vote_and_probability_agree() -> None:
    answers = as_answers(SCORES, LABELS)
    count = count_stored_votes("abcde", answers, create_voter("mean-softmax"), probabilities=True)
    verdict = count.verdict
    assert (verdict.probabilities.argmax(dim=1) == verdict.labels).all()
    assert count.accuracy == pytest.approx(Accuracy(SCORES, LABELS).score(range(5)))


def all_right_and_all_wrong_give_no_nan_in_json() -> None:
    for predictions in (np.stack([LABELS] * 3), np.stack([(LABELS + 1) % 4] * 3)):
        measures = nv.diversity(predictions, LABELS, resamples=10)
        failures = nv.coincident_failures(predictions != LABELS, LABELS)
        json.dumps([measures.to_json(), failures.to_json()], allow_nan=False)
        assert np.isnan(measures.mean("q"))


def which_versions_were_right_on_an_image_is_known() -> None:
    answers = as_answers(SCORES, LABELS)
    assert answers.predictions.tolist() == CLASSES.tolist()
    members = greedy(Accuracy(SCORES, LABELS), 3).members
    assert answers.wrong[list(members)].shape == (3, 60)


def votes_are_soft_or_counted_and_outputs_of_any_library() -> None:
    for outputs in (SCORES, SCORES.astype(np.float32), torch.from_numpy(SCORES), list(SCORES)):
        assert Accuracy(outputs, LABELS).score([0, 1]) == Accuracy(SCORES, LABELS).score([0, 1])
    assert Accuracy(SCORES, LABELS, "plurality").vote == "plurality"


def nothing_is_kept_between_two_calls() -> None:
    criterion = Accuracy(SCORES, LABELS)
    first = [criterion.score([0, 1, 2]), criterion.along(range(5)).tolist()]
    assert [criterion.score([0, 1, 2]), criterion.along(range(5)).tolist()] == first
    weights = a_criterion()
    assert fit_weights(weights, steps=5).tolist() == fit_weights(weights, steps=5).tolist()


def gradients_are_not_kept_and_memory_is_flat() -> None:
    outputs = torch.rand(30, 2000, 10, requires_grad=True)
    labels = torch.randint(0, 10, (2000,), generator=torch.Generator().manual_seed(0))
    tracemalloc.start()
    nv.diversity(outputs, labels, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outputs.grad is None
    assert peak < 60e6


def an_image_counts_the_same_alone_and_among_others() -> None:
    alone = [
        nv.coincident_failures(CLASSES[:, [n]] != LABELS[n]).histogram for n in range(len(LABELS))
    ]
    together = nv.coincident_failures(CLASSES != LABELS).histogram
    assert np.sum(alone, axis=0).tolist() == together.tolist()
    right = np.mean([plurality_growth(CLASSES[:, [n]], LABELS[[n]]).right for n in range(60)], 0)
    assert plurality_growth(CLASSES, LABELS).right == pytest.approx(right)


def abstentions_are_minus_one_and_counted_apart(folder: Path) -> None:
    predictions = CLASSES.copy()
    predictions[2, :7] = -1
    measures = nv.diversity(predictions, LABELS)
    assert measures.abstentions.tolist() == [0, 0, 7, 0, 0]
    np.savez(folder / "t.npz", labels=LABELS, predictions=predictions)
    assert read_table(folder / "t.npz").outputs.tolist() == predictions.tolist()
    # Nobody's vote is no vote for a class.
    only = np.array([[-1], [-1], [1]])
    assert plurality_growth(only, [1]).right == pytest.approx([1 / 3, 2 / 3, 1.0])
    with pytest.raises(InputError, match="labels must be at least 0"):
        nv.diversity(CLASSES, np.full(60, -1))


def of_several_distances_the_smallest_counts() -> None:
    margins = np.array([[[0.0, 3.0, 1.0, 2.0]]])
    gradients = np.ones((1, 1, 4, 1))
    assert WhiteBox(margins, gram(gradients), [0]).distances([1.0]).tolist() == [1.0]


ROWS: dict[str, tuple[str, Callable[..., None]]] = {
    "5": (
        "scikit-learn 7983, 13779: weights as arrays are ambiguous; dropped members",
        weights_of_any_kind_are_taken_and_bad_ones_refused,
    ),
    "6": ("scikit-learn 26398, crowd-kit 108: ties favour a class", no_class_is_favoured_by_ties),
    "8": ("DESlib 261: the probability is not the vote's", vote_and_probability_agree),
    "9": ("DESlib 198: NaN from 0/0", all_right_and_all_wrong_give_no_nan_in_json),
    "10": (
        "DESlib 130: who voted how is not returned",
        which_versions_were_right_on_an_image_is_known,
    ),
    "15": (
        "Ensemble-PyTorch 118: only two ways to vote",
        votes_are_soft_or_counted_and_outputs_of_any_library,
    ),
    "17": ("advertorch 17: a running sum is kept", nothing_is_kept_between_two_calls),
    "19": ("PyMatch 23: gradients are kept", gradients_are_not_kept_and_memory_is_flat),
    "21": ("TRADES 3: results by batch", an_image_counts_the_same_alone_and_among_others),
    "22": (
        "torchmetrics 1393, 1691: -1 rejected, or scored as wrong",
        abstentions_are_minus_one_and_counted_apart,
    ),
    "24": (
        "auto-attack 85: which of several results counts",
        of_several_distances_the_smallest_counts,
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_others_ran_into(row: str, tmp_path: Path) -> None:
    _, check = ROWS[row]
    check(*([tmp_path] if check is abstentions_are_minus_one_and_counted_apart else []))
