"""Attacks, votes, certificates, objectives and a study on a graphics card, beside the processor."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.attacks import names
from nversion.certification.smoothing import certify_smoothing
from nversion.objectives import describe_objectives, objective_names
from nversion.study import StudyConfig, without_times

CARD = "cuda"

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")

COUNT = 6

QUICK: dict[str, dict[str, object]] = {
    "apgd": {"epsilon": 0.5},
    "auto": {"epsilon": 0.5, "steps": 10, "targets": 2, "queries": 50},
    "hop-skip-jump": {"steps": 2, "evaluations": 20},
    "square": {"epsilon": 0.5, "queries": 300},
}

NORMS: dict[str, tuple[str | None, ...]] = {
    "alma": ("l1", "l2"),
    "apgd": ("l2", "linf"),
    "apgd-targeted": ("l2", "linf"),
    "fab": ("l2", "linf"),
    "fmn": ("l0", "l1", "l2", "linf"),
    "nearest": ("l0", "l1", "l2", "linf"),
    "pdpgd": ("l0", "l1", "l2", "linf"),
    "slp": ("l0", "l1", "l2", "linf"),
}

EVERY = [
    (name, QUICK.get(name, {}) | ({} if norm is None else {"norm": norm}))
    for name in names()
    for norm in NORMS.get(name, (None,))
]


class Case:
    """Versions of the digits with images that they all know, on the processor and on the card."""

    def __init__(self) -> None:
        data = nv.load_dataset("digits")
        texts = (
            "conv 6 relu\nmaxpooling\nflatten\ndense 24 relu",
            "conv 4 relu\nflatten",
            "flatten\ndense 24 relu",
        )
        self.models: list[nn.Module] = [
            nv.train(nv.Architecture.parse(text), data, recipe="small", seed=seed).model.eval()
            for seed, text in enumerate(texts)
        ]
        images, labels = data.test.images[:40], data.test.labels[:40]
        known = torch.stack([model(images).argmax(dim=1) == labels for model in self.models])
        rows = known.all(dim=0).nonzero().squeeze(1)[:COUNT]
        self.images, self.labels = images[rows], labels[rows]

    def on_card(self, number: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
        model = copy.deepcopy(self.models[number]).to(CARD)
        return model, self.images.to(CARD), self.labels.to(CARD)

    def program(self, voter: str, device: str) -> nv.Program:
        models = [copy.deepcopy(model).to(device) for model in self.models]
        return nv.Program(models, voter=voter)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.mark.parametrize(("name", "options"), EVERY, ids=lambda one: str(one))
def test_an_attack_finds_on_a_card_what_it_finds_on_the_processor(
    case: Case, name: str, options: dict[str, object]
) -> None:
    attack = nv.attacks.create(name, **options)
    there = attack(*case.on_card())
    here = attack(case.models[0], case.images, case.labels)
    assert there.images.device.type == CARD
    assert there.success.device.type == CARD
    assert abs(int(there.success.sum()) - int(here.success.sum())) <= 1
    # A network on the processor is another arithmetic; the margin of verification covers both.
    won = there.success.cpu()
    fooled = case.models[0](there.images.cpu()).argmax(dim=1) != case.labels
    assert torch.equal(fooled & won, won)
    both = won & here.success
    norm = getattr(attack, "norm", "l2")
    sizes = getattr(there, norm).cpu()[both], getattr(here, norm)[both]
    assert float(sizes[0].mean()) == pytest.approx(float(sizes[1].mean()), rel=0.1)


@contextlib.contextmanager
def single(*, exactly: bool) -> Iterator[None]:
    """Let cuDNN round factors to TF32, as PyTorch does unless it is told not to, or not."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = not exactly
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("norm", [1, 2, "inf"])
@pytest.mark.parametrize("box", [(0.0, 1.0), None], ids=["box", "ball"])
@pytest.mark.parametrize("method", ["interval", "linear", "alpha"])
def test_a_certificate_of_a_card_is_that_of_the_processor(
    case: Case, norm: int | str, box: tuple[float, float] | None, method: str
) -> None:
    with single(exactly=True):
        there = nv.certify(*case.on_card(), norm, method=method, box=box)
    here = nv.certify(case.models[0], case.images, case.labels, norm, method=method, box=box)
    assert there.device.type == CARD
    assert torch.allclose(there.cpu(), here, rtol=5e-3)
    nearest = nv.attacks.create("nearest", norm=norm)(*case.on_card())
    sizes = {1: nearest.l1, 2: nearest.l2}.get(norm, nearest.linf)  # type: ignore[call-overload]
    assert bool((there < sizes).all())
    with single(exactly=False):
        rounded = nv.certify(*case.on_card(), norm, method=method, box=box)
    assert bool((rounded > 0).all())
    # The search for a radius stops short now and then, on the one side or the other.
    assert bool((rounded <= there * 1.01).all())


LAYERS = {
    "average pool": [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()],
    "batch norm": [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)],
    "strides": [nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 2, stride=2)],
    "tanh": [nn.Flatten(), nn.Linear(64, 12), nn.Tanh()],
    "groups": [nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 4, 3, groups=2), nn.Sigmoid()],
}


@pytest.mark.parametrize("norm", [1, 2, "inf"])
@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_is_certified_on_a_card(case: Case, kind: str, norm: int | str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        body = nn.Sequential(*copy.deepcopy(LAYERS[kind]), nn.Flatten())
        size = body(case.images).shape[1]
        model = nn.Sequential(body, nn.Linear(size, 10), nn.LogSoftmax(dim=1)).eval()
    labels = model(case.images).argmax(dim=1)
    here = nv.certify(model, case.images, labels, norm)
    with single(exactly=True):
        there = nv.certify(model.to(CARD), case.images.to(CARD), labels.to(CARD), norm)
    assert torch.allclose(there.cpu(), here, rtol=5e-3)
    assert bool((there > 0).all())


VOTERS = ["mean-softmax", "mean-logits", "majority", "plurality", "median-softmax"]


@pytest.mark.parametrize("voter", VOTERS)
def test_a_vote_on_a_card_says_what_it_says_on_the_processor(case: Case, voter: str) -> None:
    there = case.program(voter, CARD).vote(case.images.to(CARD))
    here = case.program(voter, "cpu").vote(case.images)
    assert torch.equal(there.labels.cpu(), here.labels)
    assert torch.allclose(there.probabilities.cpu(), here.probabilities, atol=1e-2)


@pytest.mark.parametrize("norm", [1, 2, "inf"])
@pytest.mark.parametrize("voter", VOTERS)
def test_a_program_on_a_card_is_certified(case: Case, voter: str, norm: int | str) -> None:
    with single(exactly=True):
        there, here = (
            nv.certify(
                case.program(voter, device), case.images.to(device), case.labels.to(device), norm
            )
            for device in (CARD, "cpu")
        )
    assert torch.allclose(there.cpu(), here, rtol=5e-3)


def test_a_network_on_a_card_is_smoothed(case: Case) -> None:
    model, images, _ = case.on_card()
    there = certify_smoothing(model, images, 0.1, samples=200)
    here = certify_smoothing(case.models[0], case.images, 0.1, samples=200)
    assert torch.equal(there.labels.cpu(), here.labels)
    assert torch.allclose(there.radii.cpu(), here.radii, atol=0.05)


@pytest.mark.parametrize("norm", [2, "inf"])
def test_a_program_on_a_card_is_examined(case: Case, norm: int | str) -> None:
    program, images, labels = case.program("mean-softmax", CARD), *case.on_card()[1:]
    budget = nv.diversity_budget(program, images, labels, norm)
    usual = nv.diversity_budget(case.program("mean-softmax", "cpu"), case.images, case.labels, norm)
    assert torch.allclose(budget.cosine.cpu(), usual.cosine, atol=0.02)
    for model in (program, case.on_card()[0]):
        found = nv.examine(model, images, labels, norm=norm)
        assert found.images == COUNT
        assert not any("finite" in check.name and check in found.failed for check in found.checks)


def test_a_network_on_a_card_is_written_as_a_file(case: Case, tmp_path: Path) -> None:
    model, images, labels = case.on_card()
    nv.export(model, tmp_path / "network.pt2", images, labels)
    read = nv.load_version(tmp_path / "network.pt2").model
    assert torch.allclose(read(case.images), case.models[0](case.images), atol=1e-2)


@pytest.mark.parametrize("norm", [2, "inf"])
@pytest.mark.parametrize("voter", ["mean-softmax", "mean-logits", "majority", "plurality"])
def test_a_program_on_a_card_is_attacked(case: Case, voter: str, norm: int | str) -> None:
    there, here = (
        nv.attack_program(
            case.program(voter, device), case.images.to(device), case.labels.to(device), norm
        )
        for device in (CARD, "cpu")
    )
    assert there.images.device.type == CARD
    assert bool(there.success.all())
    sizes = (there.l2, here.l2) if norm == 2 else (there.linf, here.linf)
    assert float(sizes[0].mean()) == pytest.approx(float(sizes[1].mean()), rel=0.05)


@pytest.mark.parametrize("name", objective_names())
def test_an_objective_trains_on_a_card(name: str) -> None:
    if name in ("oracle", "ard", "rslad"):
        pytest.skip("needs a teacher")
    # With larger changes, so few steps stay at chance, which training refuses.
    kinds = {one["name"]: one["options"] for one in describe_objectives()}
    options = {"radius": 0.02} if "radius" in kinds[name] else {}
    changes = {"epochs": 2, "objective": name, "objective_options": options}
    recipe = nv.load_recipe("small").model_copy(update=changes)
    data = nv.load_dataset("digits")
    architecture = nv.Architecture.parse("conv 6 relu\nmaxpooling\nflatten\ndense 16 relu")
    one, two = (nv.train(architecture, data, recipe, 1, device=CARD) for _ in range(2))
    for first, second in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert bool(first.isfinite().all())
        assert torch.equal(first, second)


def test_a_study_on_a_card_is_the_same_again(tmp_path: Path) -> None:
    config = StudyConfig.model_validate(
        {
            "versions": {"count": 3, "recipe": "small"},
            "attacks": {"names": ["gradient", "deepfool", "random-pgd"], "images": 3},
            "program": {"orders": 20},
            "whole": {"images": 2, "norms": [2], "sizes": [2], "best": 1, "checked_images": 0},
            "evaluation": {"frequency_images": 4},
            "certification": {
                "method": "interval",
                "images": 5,
                "random_target_images": 4,
                "attack_passes": 200,
                "program_images": 3,
                "program_versions": 2,
            },
            "run": {"device": CARD},
        }
    )
    one, two = (nv.run_study(config, tmp_path / name) for name in ("one", "two"))
    assert without_times(one.to_json()) == without_times(two.to_json())
    assert one.to_json()["study"]["failures"] == []
