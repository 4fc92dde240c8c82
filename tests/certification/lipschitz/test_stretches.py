"""No pair of images moves a node farther than its stretch allows."""

from __future__ import annotations

import networks
import pytest
import torch
from torch import Tensor, nn

from nversion.certification.lipschitz import linear_maps, stretches
from nversion.certification.lipschitz.linear_maps import MEAN
from nversion.certification.lipschitz.stretches import find_stretches
from nversion.certification.network.graph import Convolution, MaxPool, Network
from nversion.certification.network.tracing import trace
from nversion.certification.planes.pools import windows

SHAPE = (2, 8, 8)


def _steepest_pairs(network: Network, index: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return images and moves of size 1 along which one node moves far: by power iteration."""
    x = networks.images(4, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    d = torch.randn(x.shape, generator=generator, dtype=x.dtype)

    def node(image: Tensor) -> Tensor:
        return network.forward(image)[index]

    for _ in range(15):
        d = d / d.flatten(1).norm(dim=1)[:, None, None, None]
        leaf = x.clone().requires_grad_(True)
        value = node(leaf)
        along = (node(x + 1e-6 * d) - value.detach()) / 1e-6
        (d,) = torch.autograd.grad(value, leaf, along)
        d = d + 1e-9 * torch.randn(d.shape, generator=generator, dtype=d.dtype)
    d = d / d.flatten(1).norm(dim=1)[:, None, None, None]
    return x, d


def _size(moves: Tensor) -> Tensor:
    return moves.flatten(1).norm(dim=1)


@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("name", networks.NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_node_moves_farther_than_its_stretch(name: str, seed: int, norm: float) -> None:
    network = trace(networks.network(name, seed=seed), networks.SHAPE).to(torch.float64)
    stretches = find_stretches(network, norm)
    for index in range(1, len(network.nodes)):
        x, d = _steepest_pairs(network, index, seed)
        if norm == 1.0:
            peak = d.flatten(1).abs().argmax(dim=1)
            d = torch.zeros_like(d.flatten(1)).scatter(1, peak[:, None], 1.0).reshape(d.shape)
        before = network.forward(x)
        for length in (1e-3, 0.3, 2.0):
            moved = network.forward(x + length * d)
            far = _size(moved[index] - before[index])
            assert bool((far <= stretches.nodes[index] * length * (1 + 1e-9)).all())
        assert stretches.nodes[index] < 1e4


@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("name", ["pooled", "deep pools", "uneven", "overlapping pool"])
def test_windows_move_no_farther_in_their_own_norm(name: str, norm: float) -> None:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    stretches = find_stretches(network, norm)
    for index, move in stretches.read.items():
        node = network.nodes[index]
        if not isinstance(node, MaxPool):
            continue
        source = node.inputs[0]
        x, d = _steepest_pairs(network, source, seed=4)
        if norm == 1.0:
            d = torch.eye(128, dtype=x.dtype)[::7].reshape(-1, *SHAPE)
            x = x[:1].expand(len(d), -1, -1, -1)
        before, after = network.forward(x)[source], network.forward(x + d)[source]
        t = windows(node, after, 0.0) - windows(node, before, 0.0)
        square = t.square().sum(dim=2) - (1.0 - move.mean) * t.shape[2] * t.mean(dim=2).square()
        assert bool((square.flatten(1).sum(dim=1).sqrt() <= move.stretch * (1 + 1e-9)).all())


def test_a_convolution_stretches_by_little_less_than_the_bound() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(192, 4))
    network = trace(model, SHAPE).to(torch.float64)
    units = torch.eye(128, dtype=torch.float64).reshape(128, *SHAPE)
    zero = network.forward(torch.zeros(1, *SHAPE, dtype=torch.float64))[1]
    matrix = (network.forward(units)[1] - zero).flatten(1)
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert exact <= find_stretches(network).nodes[1] <= 1.15 * exact


@pytest.mark.quality
def test_layers_together_stretch_less_than_one_by_one() -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    together = find_stretches(network).nodes
    product = 1.0
    for index, node in enumerate(network.nodes):
        if isinstance(node, Convolution):
            alone = Network((network.nodes[0], *network.nodes[1 : index + 1]))
            shape = alone.nodes[node.inputs[0]].shape
            own = nn.Conv2d(shape[0], node.shape[0], 3).double()
            own.weight.data, own.bias.data = node.weight, node.bias
            product *= find_stretches(trace(nn.Sequential(own, nn.Flatten()), shape)).nodes[1]
            assert together[index] <= product * 1.2
    assert together[5] < 0.9 * product


def test_a_coarser_grid_and_sums_of_weights_bound_from_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    whole = find_stretches(network).nodes[1]
    monkeypatch.setattr(linear_maps, "GRID", 7)
    coarse = find_stretches(network).nodes[1]
    monkeypatch.setattr(stretches, "SPECTRUM", 10)
    summed = find_stretches(network).nodes[1]
    x, d = _steepest_pairs(network, 1, seed=2)
    far = _size(network.forward(x + d)[1] - network.forward(x)[1])
    for found in (whole, coarse, summed):
        assert bool((far <= found).all())


@pytest.mark.quality
def test_a_coarser_grid_loses_little(monkeypatch: pytest.MonkeyPatch) -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    whole = find_stretches(network).nodes[1]
    monkeypatch.setattr(linear_maps, "GRID", 7)
    coarse = find_stretches(network).nodes[1]
    monkeypatch.setattr(stretches, "SPECTRUM", 10)
    assert whole < 1.01 * coarse < 2 * whole
    assert whole < find_stretches(network).nodes[1]


def test_means_of_windows_count_less() -> None:
    network = trace(networks.network("pooled", seed=3), networks.SHAPE).to(torch.float64)
    stretches = find_stretches(network)
    index = next(i for i, node in enumerate(network.nodes) if isinstance(node, MaxPool))
    plain = stretches.nodes[network.nodes[index].inputs[0]]
    assert stretches.read[index].mean == MEAN
    assert MEAN**0.5 * plain * 0.9 < stretches.read[index].stretch < plain
