from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from nversion.study.stages.by_class import confusion_of


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=40))
def test_confusions_are_what_counting_one_by_one_gives(pairs: list[tuple[int, int]]) -> None:
    labels = torch.tensor([label for label, _ in pairs], dtype=torch.int64)
    answers = torch.tensor([answer for _, answer in pairs], dtype=torch.int64)
    found = confusion_of("v1", "version", labels, answers, 4)
    assert found.confusion == [[pairs.count((i, j)) for j in range(4)] for i in range(4)]
    assert found.abstained == [pairs.count((i, -1)) for i in range(4)]
