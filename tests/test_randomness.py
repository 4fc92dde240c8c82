from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from nversion.randomness import derive_seed, generator, numpy_generator

PART = st.integers() | st.text() | st.binary()


def test_seeds_are_the_same_in_every_release() -> None:
    assert derive_seed(7, "version", "v001") == 3555866691349885049


@given(st.lists(PART, min_size=1, max_size=4), st.lists(PART, min_size=1, max_size=4))
def test_other_parts_give_another_seed(one: list[object], two: list[object]) -> None:
    same = [(type(x), x) for x in one] == [(type(x), x) for x in two]
    assert (derive_seed(*one) == derive_seed(*two)) == same  # type: ignore[arg-type]
    assert 0 <= derive_seed(*one) < 2**63  # type: ignore[arg-type]


def test_generators_repeat() -> None:
    draws = [torch.rand(3, generator=generator(1, "x")) for _ in range(2)]
    assert torch.equal(*draws)
    assert numpy_generator(1, "x").random() == numpy_generator(1, "x").random()
    assert numpy_generator(1, "x").random() != numpy_generator(1, "y").random()
