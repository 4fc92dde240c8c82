"""Planted faults are what they are called, repeat, and leave the version itself alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nversion.errors import InputError
from nversion.program import KOfN, create_voter
from nversion.program.campaigns.injecting import Plan, inject_faults
from nversion.program.injection import flip_bits, inject


def network(seed: int) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
    with torch.no_grad():
        shared = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)) * 3
        own = torch.randn(4, 9, generator=torch.Generator().manual_seed(seed + 1)) / 4
        model[1].weight.copy_(shared + own)
        model[1].bias.zero_()
    return model.eval()


IMAGES = torch.rand(30, 1, 3, 3, generator=torch.Generator().manual_seed(2))
NETWORKS = {f"v{seed}": network(seed) for seed in range(5)}
LABELS = network(77)(IMAGES).argmax(dim=1)


def bits(model: nn.Module) -> list[int]:
    return [
        word
        for weights in model.parameters()
        for word in weights.detach().flatten().view(torch.int32).tolist()
    ]


@pytest.mark.parametrize("flips", [1, 7, 64])
def test_so_many_bits_are_flipped_and_the_same_ones_again(flips: int) -> None:
    model = network(0)
    before = bits(model)
    flipped = flip_bits(model, flips, seed=3)
    changed = [(one ^ two) & 0xFFFFFFFF for one, two in zip(before, bits(flipped), strict=True)]
    assert sum(word.bit_count() for word in changed) == flips
    assert bits(model) == before
    assert bits(flip_bits(model, flips, seed=3)) == bits(flipped)
    assert bits(flip_bits(model, flips, seed=4)) != bits(flipped)


def test_more_bits_than_there_are_cannot_be_flipped() -> None:
    everything = flip_bits(network(0), 40 * 32)
    assert all(
        (one ^ two) & 0xFFFFFFFF == 0xFFFFFFFF
        for one, two in zip(bits(network(0)), bits(everything), strict=True)
    )
    for wrong in (0, 40 * 32 + 1):
        with pytest.raises(InputError, match="1 to 1,280"):
            flip_bits(network(0), wrong)
    assert flip_bits(network(0).to(torch.bfloat16), 5)[1].weight.dtype == torch.bfloat16


def test_each_fault_is_what_it_is_called() -> None:
    model = network(0)
    assert bool(inject(model, "nan")(IMAGES).isnan().all())
    assert bool(inject(model, "infinite")(IMAGES).isinf().all())
    assert inject(model, "shape")(IMAGES).shape == (30, 3)
    assert len(inject(model, "constant", seed=5)(IMAGES).argmax(dim=1).unique()) == 1
    stuck = inject(model, "stuck", stuck=IMAGES[3])(IMAGES)
    assert torch.equal(stuck.argmax(dim=1), model(IMAGES)[3].argmax().expand(30))
    for kind in ("raise", "crash", "hang"):
        with pytest.raises(RuntimeError):
            inject(model, kind)(IMAGES)
    with pytest.raises(InputError, match="did you mean 'crash'"):
        inject(model, "crush")


def test_faults_are_counted_by_kind_and_number() -> None:
    kinds = ("raise", "nan", "infinite", "shape", "constant", "stuck", "bit-flips")
    plan = Plan(kinds, seed=1, flips=20)
    report = inject_faults(NETWORKS, create_voter("majority"), IMAGES, LABELS, plan)
    assert report == inject_faults(NETWORKS, create_voter("majority"), IMAGES, LABELS, plan)
    assert len(report.rows) == len(kinds) * 6
    for row in report.rows:
        assert row.right + row.wrong + row.abstained == 30
        assert row.accuracy == row.right / 30
    sound = report.of("nan", 0)
    assert (sound.faulty, sound.voted_out, sound.changed) == ([], [], 0)
    for kind in ("raise", "nan", "infinite", "constant", "stuck"):
        for faulty in (1, 2):
            row = report.of(kind, faulty)
            assert row.voted_out == sorted(row.faulty)
            assert row.changed == 0
        assert report.of(kind, 2).faulty == report.of("nan", 2).faulty
    for kind in ("raise", "nan", "infinite", "constant", "stuck"):
        assert report.of(kind, 3).abstained == 30


def test_the_versions_that_become_faulty_can_be_chosen() -> None:
    plan = Plan(("nan",), into=("v3", "v1"), most=2)
    report = inject_faults(NETWORKS, KOfN(3), IMAGES, LABELS, plan)
    assert [row.faulty for row in report.rows] == [[], ["v3"], ["v3", "v1"]]
    for wrong, said in (
        (Plan(into=("v9",)), "into must name versions"),
        (Plan(into=("v1", "v1")), "each once"),
        (Plan(most=6), "at the most 5"),
        (Plan(("rust",)), "no fault is called 'rust'"),
    ):
        with pytest.raises(InputError, match=said):
            inject_faults(NETWORKS, KOfN(3), IMAGES, LABELS, wrong)


def test_without_screening_constant_versions_keep_their_voice() -> None:
    report = inject_faults(
        NETWORKS, create_voter("plurality"), IMAGES, LABELS, Plan(("constant",), screen=False)
    )
    assert all(row.voted_out == [] for row in report.rows)
    assert report.of("constant", 1).changed == 0 or report.of("constant", 1).wrong >= 0
