from __future__ import annotations

import pytest
import torch

import nversion as nv
from nversion.certification import certify as certify_network
from nversion.errors import InputError
from nversion.program import certify_program


def test_networks_and_programs_are_told_apart() -> None:
    models = [
        nv.Architecture.parse("flatten\ndense, 8, relu").build((1, 3, 3), 3, seed=seed)
        for seed in (1, 2)
    ]
    program = nv.Program(models)
    images = torch.rand(6, 1, 3, 3, generator=torch.Generator().manual_seed(3))
    labels = program.vote(images).labels
    expected = certify_program(program, images, labels, 2, box=None)
    assert torch.equal(nv.certify(program, images, labels, 2, box=None), expected)
    assert (expected > 0).any()
    few, many = (
        nv.certify(models[0], images, labels, 2, method="alpha", steps=steps) for steps in (2, 40)
    )
    assert not torch.equal(few, many)
    alone = certify_network(models[0], images, labels, 2)
    assert torch.equal(nv.certify(models[0], images, labels, 2), alone)
    with pytest.raises(InputError, match="leave out target"):
        nv.certify(program, images, labels, 2, target="random")
