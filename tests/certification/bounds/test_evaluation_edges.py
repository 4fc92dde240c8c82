"""What evaluation does where numbers end: overflow, underflow, ties of softmaxes and of casts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.certification import margin_bounds
from nversion.errors import OutputsWarning, ThinLeadWarning
from nversion.models import evaluate, predict

SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thin leads and softmaxes are what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThinLeadWarning)
        warnings.simplefilter("ignore", OutputsWarning)
        yield


def linear(scale: float = 1.0, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    layer = nn.Linear(16, 3)
    with torch.no_grad():
        layer.weight *= scale
        layer.bias *= scale
    return layer


def drawn(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *SHAPE, generator=generator).to(dtype).float()


def broken(model: nn.Module, weight: Tensor, images: Tensor, cast: torch.dtype) -> tuple[int, int]:
    """Return how many images are certified, and of how many the class changes within the radius.

    Changes lead straight to the borders of a linear map with `weight` [classes, 16].
    """
    labels = predict(model, images)
    radii = nv.certify(model, images, labels, 2, box=None).double()
    rows = weight.detach().double()
    lost = torch.zeros(len(images), dtype=torch.bool)
    for rival in range(3):
        ways = rows[rival] - rows[labels]
        ways = ways / ways.norm(dim=1, keepdim=True).clamp(min=1e-30)
        for share in (1 - 1e-12, 1 - 1e-6, 0.9999, 0.999, 0.99, 0.9):
            points = images.double() + (ways * radii[:, None] * share).reshape(-1, *SHAPE)
            points = points.to(cast)
            near = (points.double() - images.double()).flatten(1).norm(dim=1) <= radii
            lost |= near & (radii > 0) & (predict(model, points) != labels)
    return int((radii > 0).sum()), int(lost.sum())


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize("end", [nn.Softmax, nn.LogSoftmax])
def test_a_class_that_ties_after_a_softmax_is_not_certified(
    end: type[nn.Module], scale: float
) -> None:
    layer = linear(scale)
    model = nn.Sequential(nn.Flatten(), layer, end(1)).eval()
    certified, lost = broken(model, layer.weight, drawn(300), torch.float32)
    assert certified > 200
    assert lost == 0


class Tempered(nn.Module):
    """Log-probabilities at another temperature: their rounding is multiplied."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.layer = linear(seed=seed)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.layer(x.flatten(1)) * 1e-4, dim=1) * 1e4


def test_rounding_of_a_log_softmax_counts_where_steps_come_after_it() -> None:
    for seed in range(4):
        model = Tempered(seed).eval()
        certified, lost = broken(model, model.layer.weight, drawn(60), torch.float32)
        assert certified > 40
        assert lost == 0


def test_a_network_in_float64_is_certified_as_its_logits_are_compared() -> None:
    torch.manual_seed(102)
    model = nn.Sequential(nn.Flatten(), linear()).double().eval()
    images = drawn(200).double()
    logits = model(images).detach()
    labels = predict(model, images)
    spare = torch.finfo(torch.float32).eps * logits.abs().amax(dim=1)
    bounds = margin_bounds(model, images, labels, torch.zeros(200), 2).double()
    exact = logits.gather(1, labels[:, None]) - logits
    given = evaluate(model, images).double()
    rounded = given.gather(1, labels[:, None]) - given
    others = torch.ones_like(exact).scatter(1, labels[:, None], 0).bool()
    assert bool((rounded >= bounds)[others].all())
    assert bool((exact - bounds <= 8 * spare[:, None])[others].all())


class Half(nn.Module):
    """A network whose values may overflow in float16, where a later step makes them small."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.kind = kind
        self.first, self.norm, self.last = nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
        with torch.no_grad():
            self.first.weight.uniform_(0, 7900)
            self.norm.running_var.fill_(6e4)
            self.norm.weight.fill_(0.01)
            self.last.weight.uniform_(-0.1, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        if self.kind == "batch norm":
            x = self.norm(x)
        elif self.kind == "division":
            x = x / 1000
        elif self.kind == "sum":
            x = x / 2
            x = (x + x) / 1000
        else:
            x = torch.tanh(torch.relu(x) / 1000)
        return self.last(torch.relu(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["batch norm", "division", "sum", "tanh"])
def test_an_overflow_on_the_way_is_seen_after_steps_were_folded(kind: str) -> None:
    certified = 0
    for seed in range(4):
        model = Half(kind, seed).half().eval()
        images = drawn(60, torch.float16)
        images = images[model(images.half()).isfinite().all(dim=1)]
        labels = predict(model, images)
        radii = nv.certify(model, images, labels, torch.inf).double()
        certified += int((radii > 0).sum())
        # Brighter images have larger values.
        reach = radii.clamp(max=1.0)[:, None, None, None] * 0.999
        points = (images.double() + reach).clamp(max=1.0).half()
        near = (points.double() - images.double()).flatten(1).amax(dim=1) <= radii
        logits = evaluate(model, points)
        kept = logits.isfinite().all(dim=1) & (logits.argmax(dim=1) == labels)
        assert bool((kept | ~near | (radii == 0)).all())
    assert certified > 0 or kind == "sum"


def test_an_image_that_underflows_in_the_models_precision_is_counted() -> None:
    layer = linear()
    with torch.no_grad():
        layer.weight *= 1e4
        layer.bias *= 1e-2
    model = nn.Sequential(nn.Flatten(), layer).half().eval()
    images = (drawn(100) * 1e-6).half().float()
    labels = predict(model, images)
    radii = nv.certify(model, images, labels, 2).double()
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        change = torch.randn(100, 16, generator=generator, dtype=torch.float64)
        change = change / change.norm(dim=1, keepdim=True) * (radii * 0.999).clamp(max=1)[:, None]
        points = (images.double() + change.reshape(-1, *SHAPE)).clamp(0, 1)
        near = (points - images.double()).flatten(1).norm(dim=1) <= radii
        changed = predict(model, points) != labels
        assert not bool((changed & near & (radii > 0)).any())


@pytest.mark.parametrize("method", ["interval", "linear", "alpha"])
def test_nothing_is_certified_where_the_model_holds_infinite_numbers(method: str) -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Tanh(), linear_from(4)
    ).eval()
    norm = model[2]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    norm.running_mean.fill_(torch.inf)
    images = drawn(4)
    labels = predict(model, images)
    assert nv.certify(model, images, labels, 2, method=method).tolist() == [0.0] * 4
    bounds = margin_bounds(model, images, labels, torch.zeros(4), 2, method=method)
    assert not bool(bounds.isnan().any())


def linear_from(width: int) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(width, 3)


def test_a_mean_of_logits_is_certified_for_versions_of_several_precisions() -> None:
    models = [
        nn.Sequential(nn.Flatten(), linear(seed=seed)).to(dtype).eval()
        for seed, dtype in enumerate([torch.float32, torch.float16, torch.float64])
    ]
    program = nv.Program(models, voter="mean-logits")
    images = drawn(20)
    labels = program.vote(images).labels
    radii = nv.certify(program, images, labels, 2)
    assert int((radii > 0).sum()) > 10
    assert not bool(radii.isnan().any())


class Shifted(nn.Module):
    """A network that normalises its images by numbers that float32 rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = linear(scale=1e3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(((x - 0.13) / 0.3).flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_numbers_in_a_forward_are_traced_as_exactly_as_they_are_used(dtype: torch.dtype) -> None:
    model, images = Shifted().to(dtype).eval(), drawn(40)
    radii = nv.certify(model, images, predict(model, images), 2)
    assert int((radii > 0).sum()) > 20
