"""Versions in processes of their own: one that crashes, hangs or takes memory costs one voice."""

from __future__ import annotations

import contextlib
import pickle

import pytest
import torch
from torch import nn

from nversion.errors import InputError
from nversion.program import Isolation, Program
from nversion.program.injection import Faulty, inject

IMAGES = torch.rand(9, 1, 3, 3, generator=torch.Generator().manual_seed(2))


def network(seed: int) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(4, 9, generator=torch.Generator().manual_seed(seed)))
        model[1].bias.zero_()
    return model.eval()


def test_each_fault_costs_one_voice() -> None:
    """One version is sound, one crashes, one hangs; what one says is as in this process."""
    models = [network(1), inject(network(2), "crash"), inject(network(3), "hang")]
    program = Program(models, "plurality", quorum=1, isolate=Isolation(seconds=6.0))
    with contextlib.closing(program):
        verdict = program.vote(IMAGES)
        assert [(fault.version, fault.kind) for fault in verdict.faults] == [
            *((1, "crashes"), (2, "hangs")),
        ]
        assert "SIGSEGV" in verdict.faults[0].reason
        assert "no answer within 6 s" in verdict.faults[1].reason
        assert torch.equal(verdict.labels, Program(models[:1]).vote(IMAGES).labels)
        # The sound one's process stays; a change of its numbers is seen.
        with torch.no_grad():
            models[0][1].weight.mul_(-1.0)
        program.screened = {one.version: one for one in verdict.faults}
        turned = program.vote(IMAGES)
        assert torch.equal(turned.labels, Program(models[:1]).vote(IMAGES).labels)
        assert not torch.equal(turned.labels, verdict.labels)


def test_what_an_isolated_version_takes_too_much_of_is_refused() -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Unflatten(1, (4, 1, 1)))
    wide = nn.Sequential(
        wide, nn.Upsample(scale_factor=6000), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    program = Program(
        [wide], "plurality", quorum=1, isolate=Isolation(seconds=60.0, megabytes=300.0)
    )
    with (
        contextlib.closing(program),
        pytest.raises(InputError, match=r"no version answers: models\[0\] .*(memory|alloc)"),
    ):
        program.vote(IMAGES)


def test_a_copy_has_processes_of_its_own() -> None:
    program = Program([network(1)], isolate="processes")
    copied = pickle.loads(pickle.dumps(program))
    assert copied._isolated is not program._isolated
    assert copied._isolated.isolation == Isolation()


def test_the_gradient_needs_no_process() -> None:
    program = Program([network(1), network(2)], isolate="processes").eval()
    plain = Program([network(1), network(2)]).eval()
    assert torch.equal(program(IMAGES), plain(IMAGES))


def test_bounds_are_checked() -> None:
    with pytest.raises(InputError, match="seconds must be a positive number"):
        Isolation(seconds=0.0)
    with pytest.raises(InputError, match='"processes" or an Isolation'):
        Program([network(1)], isolate="threads")
    assert isinstance(inject(network(1), "crash"), Faulty)
