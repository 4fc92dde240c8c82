"""Which voter has which certificate."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program import (
    MeanSoftmax,
    Program,
    certificate_of,
    certify_program,
    create_voter,
    voter_names,
)


def test_every_voter_of_nversions_has_a_certificate() -> None:
    assert all(callable(certificate_of(create_voter(name))) for name in voter_names())


def test_a_certificate_is_not_inherited() -> None:
    @dataclasses.dataclass(frozen=True)
    class Reversed(MeanSoftmax):  # type: ignore[misc]  # what nobody should do
        name: ClassVar[str] = "reversed"

        def scores(self, ballots: Tensor) -> Tensor:
            return -ballots.sum(dim=0)

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    program = Program([model, model], Reversed())
    images, labels = torch.rand(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(InputError, match=r"no certificate for the voter reversed; .*smoothing"):
        certify_program(program, images, labels, 2)
