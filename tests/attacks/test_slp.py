"""Successive linear programming: exact on linear networks, in every norm; other new L2 attacks."""

import pytest
import torch
from torch import nn

from nversion.attacks import create

COUNT = 12


def linear(seed=0):
    """Return a linear network of two classes, images, labels, and the margin's gradient."""
    draws = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False)).eval()
    weights = torch.randn(36, generator=draws)
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros(36), weights]))
    images = torch.rand(COUNT, 1, 6, 6, generator=draws)
    margins = images.flatten(1).double() @ weights.double()
    labels = (margins > 0).long()
    slopes = torch.where(labels[:, None] == 1, -weights, weights).double()
    return model, images, labels, margins.abs(), slopes


def gain(images, slopes, moves):
    room = torch.where(slopes > 0, 1 - images, images)
    return (slopes.abs() * torch.minimum(moves, room)).sum(dim=1)


def exact(norm):
    """Return the smallest change of each image of the linear network, by sorting or bisection."""
    _, images, _, gaps, slopes = linear()
    values = images.flatten(1).double()
    room = torch.where(slopes > 0, 1 - values, values)
    if norm in ("l0", "l1"):
        key = slopes.abs() * room if norm == "l0" else slopes.abs()
        order = key.sort(dim=1, descending=True).indices
        gains = (slopes.abs() * room).gather(1, order).cumsum(dim=1)
        whole = (gains <= gaps[:, None]).sum(dim=1)
        if norm == "l0":
            return whole + 1.0
        sizes = torch.zeros(COUNT, dtype=torch.float64)
        for row, count in enumerate(whole):
            spent = order[row, :count]
            left = gaps[row] - (slopes[row].abs() * room[row])[spent].sum()
            sizes[row] = room[row][spent].sum() + left / slopes[row].abs()[order[row, count]]
        return sizes
    low, high = torch.zeros(COUNT, 1, dtype=torch.float64), torch.full((COUNT, 1), 1e3).double()
    speeds = slopes.abs() if norm == "l2" else torch.ones_like(slopes)
    for _ in range(100):
        middle = (low + high) / 2
        enough = gain(values, slopes, middle * speeds)[:, None] >= gaps[:, None]
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    moves = torch.minimum(high * speeds, room)
    return moves.norm(dim=1) if norm == "l2" else moves.amax(dim=1)


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
def test_it_is_exact_on_a_linear_network(norm):
    model, images, labels, _, _ = linear()
    result = create("slp", norm=norm)(model, images, labels)
    assert result.success.all()
    sizes, least = getattr(result, norm).double(), exact(norm)
    assert (sizes >= least * (1 - 1e-5)).all()
    assert (sizes <= least * (1 + 1e-3)).all()


@pytest.mark.parametrize(
    ("name", "options", "off"),
    [
        ("ddn", {}, 0.01),
        ("pdgd", {}, 0.01),
        ("pdpgd", {"norm": "l2"}, 0.01),
        ("pdpgd", {"norm": "l1"}, 0.03),
        ("pdpgd", {"norm": "linf"}, 0.01),
        ("alma", {}, 0.01),
        ("alma", {"norm": "l1"}, 0.03),
        ("superdeepfool", {}, 0.01),
        ("ddn", {"refinements": 0}, 0.05),
        ("pdgd", {"refinements": 0}, 1.0),
        ("alma", {"refinements": 0}, 0.1),
        ("superdeepfool", {"refinements": 0}, 0.1),
    ],
)
def test_how_near_the_others_come_on_a_linear_network(name, options, off):
    model, images, labels, _, _ = linear()
    attack = create(name, **options)
    result = attack(model, images, labels)
    assert result.success.all()
    sizes, least = getattr(result, attack.norm).double(), exact(attack.norm)
    assert (sizes >= least * (1 - 1e-5)).all()
    assert float((sizes / least).mean()) <= 1 + off


def test_more_classes_come_no_farther(dense):
    images, labels = dense.images[:8], dense.labels[:8]
    for norm in ("l0", "l1", "l2", "linf"):
        one, nine = (
            getattr(
                create("slp", norm=norm, classes=n, steps=15)(dense.model, images, labels), norm
            )
            for n in (1, 9)
        )
        assert float(nine.mean()) <= float(one.mean()) * 1.001
