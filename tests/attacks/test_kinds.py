from __future__ import annotations

import pytest

from nversion.attacks import registry
from nversion.attacks.kinds import KINDS, about, paper_of


@pytest.mark.parametrize("name", registry.names())
def test_every_attack_has_a_type_a_line_and_a_paper(name: str) -> None:
    known = about(name)
    assert known.kind in KINDS
    assert known.kind != "other"
    assert 20 < len(known.line) < 90
    assert paper_of(name)


def test_of_an_unknown_attack_nothing_is_said() -> None:
    assert about("mine").kind == "other"
    assert (about("mine").line, paper_of("mine"), paper_of("<b>:x")) == ("", "", "")
