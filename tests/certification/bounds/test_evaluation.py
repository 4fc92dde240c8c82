"""Bounds and certificates of models as they are evaluated, in float32 and in half precision."""

from __future__ import annotations

import math
import warnings

import networks
import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.certification import certify, margin_bounds
from nversion.certification.arithmetic import SINGLE, Arithmetic
from nversion.certification.ball import Ball
from nversion.certification.bounds.evaluation import Errors
from nversion.certification.bounds.interval_bounds import interval_margins
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.lipschitz.stretches import find_stretches, layer_stretches
from nversion.certification.network.graph import Network, apply
from nversion.certification.network.tracing import trace
from nversion.certification.problem import Rivals
from nversion.certification.radius.proof import linear_margins
from nversion.certification.region import Region

NORMS = [1.0, 2.0, math.inf]
LABELS = torch.tensor([0, 1, 2])
OTHERS = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3]])


def margins_of(logits: Tensor) -> Tensor:
    own = logits.gather(-1, LABELS[None, :, None].expand(len(logits), -1, 1))
    return own - logits.gather(-1, OTHERS[None].expand(len(logits), -1, -1))


def disturbed(network: Network, images: Tensor, errors: list[Tensor], seed: int) -> Tensor:
    """Evaluate with errors of the full size at every step, in signs that lower one margin."""
    generator = torch.Generator().manual_seed(seed)
    signs = [torch.randn(e.shape, generator=generator).sign().double() for e in errors]
    for _ in range(3):
        added = [(s * e).requires_grad_() for s, e in zip(signs, errors, strict=True)]
        values = [images + added[0]]
        for index, node in enumerate(network.nodes[1:], start=1):
            values.append(apply(node, [values[i] for i in node.inputs]) + added[index])
        logits = values[-1]
        margins = logits.gather(1, LABELS[:, None]) - logits.gather(1, OTHERS)
        gradients = torch.autograd.grad(margins.amin(dim=1).sum(), added)
        signs = [torch.where(g == 0, s, -g.sign()) for g, s in zip(gradients, signs, strict=True)]
    return margins.detach()


@pytest.mark.parametrize("name", networks.NAMES)
@pytest.mark.parametrize("norm", NORMS)
def test_bounds_hold_whatever_each_step_is_off_by(
    name: str, norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Errors ten thousand times those of float32 show what a bound forgets.
    rough = Arithmetic(1e-4, 1e-4, 0.0, 0.0, 1e38)
    traced = trace(networks.network(name, seed=3), networks.SHAPE)
    network = Network(traced.nodes, rough).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor([0.002, 0.02, 0.08], dtype=torch.float64)
    region = Region(images, radii, Ball(norm))
    stretches = find_stretches(network, norm) if norm < math.inf else layer_stretches(network, norm)
    seen: list[Errors] = []

    class Kept(Errors):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            seen.append(self)

    monkeypatch.setattr("nversion.certification.bounds.relaxation.Errors", Kept)
    for jacobian in (False, True):
        relaxation = relax_network(network, region, Bounding(jacobian, stretches=stretches))
        lower = linear_margins(relaxation, Rivals(LABELS, OTHERS))
        errors = [
            torch.zeros(len(images), *node.shape, dtype=torch.float64)
            if x.local is None
            else x.local
            for node, x in zip(network.nodes, seen[-1].nodes, strict=True)
        ]
        points = networks.points(images, radii, norm, True, 4, seed=7)
        for turn, point in enumerate(points):
            assert bool((disturbed(network, point, errors, turn) >= lower).all())
    lower = interval_margins(network, region, LABELS, stretches).gather(1, OTHERS)
    for turn, point in enumerate(points):
        assert bool((disturbed(network, point, errors, turn) >= lower).all())


@pytest.mark.parametrize("name", networks.NAMES)
def test_float32_is_within_what_is_expected_of_it_and_that_is_little(name: str) -> None:
    model = networks.network(name, seed=8)
    images, radii = networks.images(3, seed=9), torch.zeros(3)
    with torch.no_grad():
        single, double = model(images), model.double()(images.double())
    model.float()
    bounds = margin_bounds(model, images, LABELS, radii, 2).gather(1, OTHERS).double()
    exact = double.gather(1, LABELS[:, None]) - double.gather(1, OTHERS)
    assert bool((single.gather(1, LABELS[:, None]) - single.gather(1, OTHERS) >= bounds).all())
    assert bool((exact - bounds <= 1e-3 * (1 + exact.abs())).all())
    assert bool(((single - double).abs() <= (exact - bounds).amax()).all())


def offset(scale: float) -> nn.Sequential:
    """Return a network whose first bias is taken off again by the next layer."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    first, last = model[1], model[3]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.bias += scale
        last.bias -= last.weight.sum(dim=1) * scale
    return model


def test_large_numbers_that_cancel_cost_their_rounding_and_no_more() -> None:
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    lost = []
    for scale in (0.0, 1e3, 1e6):
        model = offset(scale)
        labels = model(images).argmax(dim=1)
        bounds = margin_bounds(model, images, labels, torch.zeros(40), 2)
        logits = model(images).detach()
        gap = logits.gather(1, labels[:, None]) - logits - bounds
        assert bool((gap >= 0).all())
        lost.append(float(gap.max()))
        if scale == 1e3:
            with pytest.warns(nv.errors.ThinLeadWarning):
                assert bool((certify(model, images, labels, 2) > 0).any())
    # Rounding grows as what is rounded does.
    assert 1e2 < lost[1] / lost[0] < 1e5
    assert 5e2 < lost[2] / lost[1] < 2e3
    # At a million float32 has sixteenths left of a logit, and nothing is certified.
    with pytest.warns(nv.errors.ThinLeadWarning, match="40 of 40 images"):
        assert not bool(certify(model, images, labels, 2).any())


def test_a_batch_norm_with_a_large_mean_is_counted_unfolded() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
    assert convolution.bias is not None
    assert norm.running_mean is not None
    with torch.no_grad():
        convolution.bias += 1e5
        norm.running_mean += 1e5
    model = nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
    images = torch.rand(50, 1, 4, 4)
    labels = model(images).argmax(dim=1)
    double = model.double()(images.double())
    model.float()
    gap = (double.gather(1, labels[:, None]) - double) - margin_bounds(
        model, images, labels, torch.zeros(50), 2
    )
    assert bool((gap.amax(dim=1) >= (model(images) - double).abs().amax(dim=1)).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_certified_as_it_is_evaluated(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 3)
    )
    for parameter in model.parameters():
        parameter.data.mul_(3.0 if parameter.ndim > 1 else 1.0)
    images = torch.rand(30, 1, 8, 8)
    model = model.eval().to(dtype)
    logits = model(images.to(dtype)).float()
    labels = logits.argmax(dim=1)
    with pytest.warns(nv.errors.ThinLeadWarning):
        radii = certify(model, images, labels, 2)
    assert int((radii > 0).sum()) > 5
    lead = logits.topk(2, dim=1).values
    # The least lead is not certified: 2 ** -8 of the numbers on the way can turn it.
    assert float(radii[(lead[:, 0] - lead[:, 1]).argmin()]) == 0.0
    moves = torch.randn(200, 30, 64, generator=torch.Generator().manual_seed(1))
    moves = moves / moves.norm(dim=2, keepdim=True) * radii[None, :, None] * 0.999
    points = (images + moves.reshape(200, 30, 1, 8, 8)).clamp(0.0, 1.0)
    with torch.no_grad():
        found = model(points.flatten(0, 1).to(dtype)).argmax(dim=1).reshape(200, 30)
    assert bool(((found == labels) | (radii == 0)).all())


@pytest.mark.quality
@pytest.mark.parametrize("kind", ["relu", "sigmoid", "tanh", "residual"])
@pytest.mark.parametrize("depth", [10, 16])
def test_deep_networks_keep_most_of_their_lead(kind: str, depth: int) -> None:
    torch.manual_seed(0)
    model = deep(kind, depth)
    count = 2 if kind == "residual" else 6
    images = torch.rand(count, 1, 8, 8)
    with torch.no_grad():
        # A lead as trained networks have it.
        spread = model(images).std(dim=1).mean()
        model[-1].weight.div_(spread)
        logits = model(images)
    labels = logits.argmax(dim=1)
    lead = logits.topk(2, dim=1).values
    bounds = margin_bounds(model, images, labels, torch.zeros(count), 2)
    least = bounds.scatter(1, labels[:, None], torch.inf).amin(dim=1)
    share = least / (lead[:, 0] - lead[:, 1])
    assert float(share.median()) > 0.8
    for norm in NORMS:
        assert int((certify(model, images, labels, norm) > 0).sum()) >= count - 1


def deep(kind: str, depth: int) -> nn.Sequential:
    if kind == "residual":
        blocks: list[nn.Module] = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()]
        blocks += [networks.Block(4, False) for _ in range(depth // 2)]
        return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(256, 4)).eval()
    layers: list[nn.Module] = [nn.Flatten()]
    width, gain = 64, {"relu": math.sqrt(2.0), "sigmoid": 4.0, "tanh": 1.0}[kind]
    for _ in range(depth - 1):
        linear = nn.Linear(width, 48)
        nn.init.normal_(linear.weight, std=gain / math.sqrt(width))
        layers += [linear, {"relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh()}[kind]]
        width = 48
    return nn.Sequential(*layers, nn.Linear(width, 4)).eval()


@pytest.mark.parametrize("method", ["interval", "linear", "alpha"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
def test_a_constant_network_has_infinite_radii(
    method: str, norm: float, box: tuple[float, float] | None
) -> None:
    convolution, last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 3)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), last).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    last.bias.data[1] = 1.0
    images = torch.rand(3, 1, 4, 4)
    radii = certify(model, images, torch.tensor([1, 1, 0]), norm, box=box, method=method)
    assert radii.tolist() == [math.inf, math.inf, 0.0]


@pytest.mark.parametrize("norm", NORMS)
def test_a_network_that_no_valid_image_wakes_has_infinite_radii_in_the_box(norm: float) -> None:
    torch.manual_seed(0)
    convolution, last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 3)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), last).eval()
    assert convolution.bias is not None
    convolution.bias.data -= 100.0
    last.bias.data[1] = 1.0
    images, labels = torch.rand(3, 1, 4, 4), torch.ones(3, dtype=torch.int64)
    assert bool(certify(model, images, labels, norm).isinf().all())
    plain = certify(model, images, labels, norm, box=None)
    assert bool((plain > 1.0).all())
    assert bool(plain.isfinite().all())


@pytest.mark.parametrize("voter", ["mean-softmax", "mean-logits", "majority"])
def test_a_vote_that_no_valid_image_changes_has_infinite_radii(voter: str) -> None:
    last = nn.Linear(16, 3)
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor([0.0, 1.0, 0.0]))
    program = nv.Program([nn.Sequential(nn.Flatten(), last).eval()] * 3, voter=voter)
    images, labels = torch.rand(2, 1, 4, 4), torch.tensor([1, 0])
    assert nv.certify(program, images, labels, 2).tolist() == [math.inf, 0.0]


def test_votes_are_certified_as_their_versions_are_evaluated() -> None:
    versions = [offset(1e6) for _ in range(3)]
    images = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for voter in ("mean-softmax", "mean-logits", "majority"):
        program = nv.Program(versions, voter=voter)
        labels = program.vote(images).labels
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nv.errors.ThinLeadWarning)
            assert not bool(nv.certify(program, images, labels, 2).any())
        sound = nv.Program([offset(0.0)] * 3, voter=voter)
        radii = nv.certify(sound, images, sound.vote(images).labels, 2)
        assert bool((radii > 0).all())


def test_the_precision_of_kernels_is_read_from_their_switches() -> None:
    device = torch.device("cpu")
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert Arithmetic.of(torch.float32, device).factors == 2.0**-8
    finally:
        torch.set_float32_matmul_precision(before)
    assert Arithmetic.of(torch.float32, device) == SINGLE
    assert Arithmetic.of(torch.bfloat16, device).unit == 2.0**-8
    assert Arithmetic.of(torch.bfloat16, device).sums == 2.0**-24
    assert Arithmetic.of(torch.float64, device).sums == 2.0**-53


@pytest.mark.parametrize("seed", range(6))
def test_radii_of_looser_bounds_are_never_larger(seed: int) -> None:
    names = ("dense", "curves", "conv", "pooled", "strided", "residual")
    model = networks.network(names[seed], seed=seed)
    images = networks.images(4, seed=seed)
    labels = model(images).argmax(dim=1)
    found = {norm: certify(model, images, labels, norm) for norm in NORMS}
    for norm, radii in found.items():
        assert bool(
            (certify(model, images, labels, norm, method="interval") <= 1.001 * radii).all()
        )
    assert bool((found[2.0] <= 1.001 * found[1.0]).all())
    assert bool((found[math.inf] <= 1.001 * found[2.0]).all())
