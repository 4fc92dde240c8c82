"""Selection: searches against all subsets, criteria against their definitions, contributions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nversion.errors import InputError
from nversion.selection import (
    Accuracy,
    Choice,
    Coincidence,
    beam,
    best_first,
    contributions,
    exact,
    greedy,
    in_order,
    random_orders,
    smallest,
)

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])

votes = hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.just(10)), elements=st.integers(-1, 2))


def some_outputs(versions: int = 6, images: int = 300, seed: int = 0) -> tuple[Any, Any]:
    randomness = np.random.default_rng(seed)
    labels = randomness.integers(0, 4, images)
    scores = randomness.normal(size=(versions, images, 4))
    hard = randomness.normal(size=images)
    scores[:, np.arange(images), labels] += 1.0 - 0.7 * hard + randomness.normal(size=(versions, 1))
    shares = np.exp(scores)
    return shares / shares.sum(axis=2, keepdims=True), labels


@settings(deadline=None)
@given(votes)
def test_accuracy_of_a_plurality_is_that_of_its_definition(predictions: Any) -> None:
    criterion = Accuracy(predictions, LABELS)
    for n in range(1, len(predictions) + 1):
        for members in itertools.combinations(range(len(predictions)), n):
            count = np.stack([(predictions[list(members)] == c).sum(axis=0) for c in range(3)])
            own = count[LABELS, np.arange(10)]
            right = (own == count.max(axis=0)) & ((count == own).sum(axis=0) == 1)
            assert criterion.score(members) == pytest.approx(right.mean())


def test_accuracy_of_a_mean_is_that_of_its_definition() -> None:
    outputs, labels = some_outputs()
    criterion = Accuracy(outputs, labels)
    for members in ((0,), (3, 1), (0, 1, 2, 3, 4, 5)):
        expected = (outputs[list(members)].mean(axis=0).argmax(axis=1) == labels).mean()
        assert criterion.score(members) == pytest.approx(expected)
    # Of equal classes the lowest wins.
    tied = np.full((2, 2, 2), 0.5)
    assert Accuracy(tied, [0, 1]).score([0, 1]) == 0.5
    assert Accuracy(np.zeros((2, 3), dtype=int), [0, 0, 0]).score([0]) == 1.0


def test_coincidence_is_that_of_its_definition() -> None:
    wrong = np.random.default_rng(0).random((5, 200)) < 0.3
    criterion = Coincidence(wrong)
    for members in ((2,), (0, 1), (4, 2, 0)):
        pairs = list(itertools.combinations(members, 2)) or [(members[0], members[0])]
        expected = 1 - np.mean([(wrong[i] & wrong[j]).mean() for i, j in pairs])
        assert criterion.score(members) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["accuracy", "plurality", "coincidence"])
def test_scores_are_those_of_extensions_and_of_orders(kind: str) -> None:
    outputs, labels = some_outputs()
    criterion: Any = {
        "accuracy": Accuracy(outputs, labels),
        "plurality": Accuracy(outputs, labels, "plurality"),
        "coincidence": Coincidence(outputs.argmax(axis=2) != labels),
    }[kind]
    order = [4, 0, 5, 2, 1, 3]
    along = criterion.along(order)
    for n in range(1, 7):
        assert along[n - 1] == criterion.score(order[:n])
        assert criterion.extensions(order[: n - 1])[order[n - 1]] == pytest.approx(along[n - 1])
        # The order of the members changes nothing.
        assert criterion.score(sorted(order[:n])) == along[n - 1]


def test_the_exact_search_is_the_best_of_all_subsets() -> None:
    outputs, labels = some_outputs()
    criterion = Accuracy(outputs, labels)
    found = exact(criterion)
    for n, (members, score) in enumerate(found.path, start=1):
        best = max(criterion.score(one) for one in itertools.combinations(range(6), n))
        assert score == pytest.approx(best)
        assert criterion.score(members) == pytest.approx(best)


def test_wider_searches_find_no_less() -> None:
    outputs, labels = some_outputs(9)
    criterion = Accuracy(outputs, labels)
    narrow, wide, full = greedy(criterion, 4), beam(criterion, 4), exact(criterion, 4)
    assert narrow.path[0] == wide.path[0] == full.path[0]
    assert narrow.score <= full.score
    assert wide.score <= full.score
    assert beam(criterion, 4, width=200).score == pytest.approx(full.score)


def test_greedy_adds_what_helps_most() -> None:
    outputs, labels = some_outputs()
    criterion = Accuracy(outputs, labels)
    members: tuple[int, ...] = ()
    for chosen, score in greedy(criterion).path:
        scores = {v: criterion.score((*members, v)) for v in range(6) if v not in members}
        assert chosen[:-1] == members
        assert score == pytest.approx(max(scores.values()))
        members = chosen


def test_the_smallest_program_is_as_good_as_all() -> None:
    outputs, labels = some_outputs(8)
    criterion = Accuracy(outputs, labels)
    for search in ("greedy", "beam", "exact"):
        found = smallest(criterion, search=search)
        assert criterion.score(found.members) >= found.full - 1e-12
        assert all(score < found.full for one, score in found.path if len(one) < len(found.members))
    assert len(smallest(criterion, tolerance=0.05).members) <= len(smallest(criterion).members)
    limited = smallest(criterion, size=1)
    assert limited.members == limited.path[0][0]


def test_equal_versions_are_taken_by_number() -> None:
    same = np.zeros((4, 5), dtype=np.int64)
    found = greedy(Accuracy(same, np.zeros(5, dtype=np.int64)))
    assert found.members == (0, 1, 2, 3)


def test_orders_show_what_is_an_accident_of_order() -> None:
    outputs, labels = some_outputs(8)
    criterion = Accuracy(outputs, labels)
    order, scores = best_first(criterion)
    alone = [criterion.score([one]) for one in order]
    assert alone == sorted(alone, reverse=True)
    assert scores[0] == max(alone)
    assert scores[-1] == in_order(criterion)[-1]
    band = random_orders(criterion, 50, seed=3)
    assert (band.low <= band.mean + 1e-12).all()
    assert (band.mean <= band.high + 1e-12).all()
    assert band.mean[-1] == pytest.approx(scores[-1])
    again = random_orders(criterion, 50, seed=3)
    assert again.mean.tolist() == band.mean.tolist()


def test_contributions_add_up_and_are_shapleys() -> None:
    outputs, labels = some_outputs(4)
    criterion = Accuracy(outputs, labels)
    found = contributions(criterion, 400, seed=1)
    some_version = criterion.extensions(()).mean()
    assert found.values.sum() == pytest.approx(criterion.score(range(4)) - some_version)
    exactly = np.zeros(4)
    for order in itertools.permutations(range(4)):
        exactly[list(order)] += np.diff(criterion.along(order), prepend=some_version) / 24
    assert (np.abs(found.values - exactly) <= 4 * found.errors + 1e-12).all()
    assert (found.errors < contributions(criterion, 25, seed=1).errors).all()


def test_a_version_that_is_twice_there_contributes_the_same() -> None:
    outputs, labels = some_outputs(3)
    twice = np.concatenate([outputs, outputs[:1]])
    found = contributions(Accuracy(twice, labels), 500)
    spread = 4 * np.hypot(found.errors[0], found.errors[3])
    assert abs(found.values[0] - found.values[3]) <= spread


def test_a_choice_has_names_in_json() -> None:
    found: Choice = greedy(Coincidence(np.eye(3, dtype=bool)), 2)
    values = found.to_json(["a", "b", "c"])
    assert values["members"] == ["a", "b"]
    assert values["path"][0] == {"members": ["a"], "score": pytest.approx(2 / 3)}
    assert found.to_json()["members"] == [0, 1]


def test_bad_input_is_refused() -> None:
    criterion = Coincidence(np.zeros((30, 4), dtype=bool))
    with pytest.raises(InputError, match="subsets of 30 versions"):
        exact(criterion)
    with pytest.raises(InputError, match="between 1 and 30"):
        greedy(criterion, 31)
    with pytest.raises(InputError, match="did you mean 'greedy'"):
        smallest(criterion, search="greedily")
    with pytest.raises(InputError, match="tolerance"):
        smallest(criterion, tolerance=-1)
    with pytest.raises(InputError, match="width"):
        beam(criterion, 2, width=0)
    with pytest.raises(InputError, match="one version at least"):
        criterion.score([])
    with pytest.raises(InputError, match="different numbers"):
        criterion.score([1, 1])
    with pytest.raises(InputError, match="needs scores"):
        Accuracy([[0, 1]], [0, 1], "mean")
    with pytest.raises(InputError, match="'mean' or 'plurality'"):
        Accuracy([[0, 1]], [0, 1], "median")
    with pytest.raises(InputError, match="infinite scores"):
        Accuracy(np.full((1, 1, 2), -np.inf), [0])
    with pytest.raises(InputError, match="orders"):
        random_orders(criterion, 0)
    with pytest.raises(InputError, match="at least 2"):
        contributions(criterion, 1)
