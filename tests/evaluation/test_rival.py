from __future__ import annotations

import numpy as np
import pytest
import torch

from nversion.errors import InputError
from nversion.evaluation.rival import against_best_version
from nversion.randomness import numpy_generator


def draws() -> np.random.Generator:
    return numpy_generator(0, "test")


def test_a_version_is_judged_on_images_that_were_not_made_against_it() -> None:
    own = torch.tensor([0] * 50 + [1] * 50)
    versions = torch.stack([own != 0, torch.zeros(100, dtype=torch.bool)])
    versions[1, :20] = True
    program = torch.ones(100, dtype=torch.bool)
    found = against_best_version(program, versions, own, torch.arange(100), draws())
    # Over the whole set the first has 50 of 100; on the others' images it is always right.
    assert (found.version, found.gain.second, found.gain.images) == (0, 1.0, 50)
    assert (found.gain.difference, found.p_picked) == (0.0, 1.0)


def test_to_lose_to_a_picked_version_counts_only_after_correction_to_beat_it_does_at_once() -> None:
    none = torch.full((40,), -1)
    right = torch.ones(40, dtype=torch.bool)
    wrong = right.clone()
    wrong[:6] = False
    weak = torch.zeros(9, 40, dtype=torch.bool)
    behind = against_best_version(
        wrong, torch.cat([weak, right[None]]), none, torch.arange(40), draws()
    )
    assert (behind.version, behind.gain.p_value) == (9, pytest.approx(2 / 64))
    assert behind.p_picked == pytest.approx(10 * 2 / 64)
    ahead = against_best_version(
        right, torch.cat([weak, wrong[None]]), none, torch.arange(40), draws()
    )
    assert ahead.p_picked == ahead.gain.p_value == pytest.approx(2 / 64)


def test_a_program_of_one_version_has_no_rival() -> None:
    right = torch.ones(5, dtype=torch.bool)
    none = torch.full((5,), -1)
    assert against_best_version(right, right[None], none, torch.arange(5), draws()) is None


def test_shapes_that_do_not_fit_are_refused() -> None:
    right, none = torch.ones(5, dtype=torch.bool), torch.full((5,), -1)
    with pytest.raises(InputError, match="versions, count"):
        against_best_version(right, torch.ones(2, 4).bool(), none, torch.arange(5), draws())
