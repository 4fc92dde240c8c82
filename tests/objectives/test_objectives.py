"""Every objective that comes with the package, on real networks in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

import nversion as nv
from nversion.errors import ConfigError, InputError, TrainingError
from nversion.objectives import (
    Batch,
    Mixture,
    Objective,
    Term,
    create_objective,
    describe_objectives,
    objective_names,
)
from nversion.objectives.boxes import Box, boxes, interval_leads
from nversion.objectives.crown import crown_leads
from nversion.objectives.intervals import worst_loss
from nversion.objectives.lipschitz import lipschitz_constants
from nversion.objectives.perturbations import Ball, climbed
from nversion.versions import Recipe, load_recipe

from .conftest import PLAIN, MakeBatch

QUICK = load_recipe("small").model_copy(update={"epochs": 2})
STEPS = [name for name in objective_names() if not isinstance(create_objective(name), Objective)]


@pytest.mark.parametrize("name", objective_names())
def test_a_step_has_a_gradient_for_every_parameter(name: str, make_batch: MakeBatch) -> None:
    batch = make_batch(progress=0.9, teacher=lambda images: torch.full((len(images), 10), 0.1))
    loss = create_objective(name).step(batch)
    assert loss.ndim == 0
    assert bool(loss.isfinite())
    loss.backward()
    for parameter in batch.network.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
    assert batch.network.training


@pytest.mark.parametrize("name", STEPS)
def test_one_seed_gives_the_same_bits(name: str, make_batch: MakeBatch) -> None:
    def teacher(images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 10), 0.1)

    losses = [
        create_objective(name).step(make_batch(PLAIN, progress=0.5, teacher=teacher))
        for _ in range(2)
    ]
    assert torch.equal(*losses)


@pytest.mark.parametrize(
    "name", ["adversarial", "ddn", "trades", "lipschitz-margin", "lmt", "interval", "crown-ibp"]
)
def test_without_a_radius_it_is_the_cross_entropy(name: str, make_batch: MakeBatch) -> None:
    batch = make_batch(PLAIN, progress=1.0)
    plain = F.cross_entropy(batch.logits(), batch.labels)
    loss = create_objective(name, radius=0.0).step(batch)
    if name == "lipschitz-margin":
        # One more logit, the largest of the wrong ones.
        logits = batch.logits()
        wrong = logits.scatter(1, batch.labels[:, None], -torch.inf).amax(dim=1, keepdim=True)
        plain = F.cross_entropy(torch.cat([logits, wrong], dim=1), batch.labels)
    torch.testing.assert_close(loss, plain, rtol=1e-4, atol=1e-5)


def test_every_objective_says_what_it_is_and_costs() -> None:
    for one in describe_objectives():
        assert one["summary"].endswith(".")
        assert one["passes"]


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_climbing_stays_in_the_ball_and_raises_the_loss(norm: str, make_batch: MakeBatch) -> None:
    batch = make_batch(PLAIN)
    ball = Ball.checked(norm, 0.5 if norm == "2" else 0.1)

    def loss(points: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(batch.logits(points), batch.labels, reduction="none")

    worst = climbed(batch.images, ball, 10, loss, batch.draws)
    change = (worst - batch.images).flatten(1)
    size = change.norm(dim=1) if norm == "2" else change.abs().amax(dim=1)
    assert float(size.max()) <= ball.radius * (1 + 1e-5)
    assert float(worst.min()) >= 0
    assert float(worst.max()) <= 1
    assert bool((loss(worst) > loss(batch.images)).all())


@pytest.mark.parametrize("text", [PLAIN, "conv, 4, relu\nmaxpooling\nflatten\ndense, 12, relu"])
def test_leads_hold_for_every_image_of_the_ball(text: str, make_batch: MakeBatch) -> None:
    batch = make_batch(text, count=8)
    radius = 0.05
    bounds = {
        "interval": interval_leads("interval", batch, radius),
        "crown": crown_leads("crown-ibp", batch, radius),
    }
    drawn = torch.Generator().manual_seed(4)
    least = torch.full((8, 10), torch.inf)
    for _ in range(300):
        noise = (torch.rand(batch.images.shape, generator=drawn) * 2 - 1).sign() * radius
        logits = batch.logits((batch.images + noise).clamp(0, 1))
        leads = logits.gather(1, batch.labels[:, None]) - logits
        least = torch.minimum(least, leads)
    others = torch.ones(8, 10, dtype=torch.bool).scatter(1, batch.labels[:, None], False)
    for bound in bounds.values():
        assert bool((bound <= least + 1e-4)[others].all())
    # Linear bounds are there because they are tighter than intervals, on the whole.
    assert float((bounds["crown"] - bounds["interval"])[others].detach().mean()) > 0


def test_bounds_without_a_radius_are_the_leads(make_batch: MakeBatch) -> None:
    batch = make_batch(PLAIN, count=4)
    logits = batch.logits()
    leads = logits.gather(1, batch.labels[:, None]) - logits
    others = torch.ones(4, 10, dtype=torch.bool).scatter(1, batch.labels[:, None], False)
    for found in (interval_leads("interval", batch, 0.0), crown_leads("crown-ibp", batch, 0.0)):
        torch.testing.assert_close(found[others], leads[others], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("progress", [0.3, 0.9])
@pytest.mark.parametrize("clean", [0.0, 0.5])
@pytest.mark.parametrize("linear", [0.0, 0.5])
def test_mixtures_of_bounds_have_the_gradient_of_their_parts(
    make_batch: MakeBatch, progress: float, clean: float, linear: float
) -> None:
    # Bounds that two parts share are computed once, and a plain loss without weight not at all.
    batch = make_batch(PLAIN, progress=progress)
    part = min((progress - 0.05) / 0.6, 1.0)
    share, weight = 1 + (linear - 1) * part, 1 + (clean - 1) * part
    plain = torch.nn.functional.cross_entropy(batch.logits(), batch.targets)
    boxed = interval_leads("interval", batch, 0.1 * part)
    lined = crown_leads("crown-ibp", batch, 0.1 * part)
    parameters = list(batch.network.parameters())
    for objective, leads in (
        (create_objective("interval", radius=0.1, clean=clean), boxed),
        (
            create_objective("crown-ibp", radius=0.1, clean=clean, linear=linear),
            (1 - share) * boxed + share * lined,
        ),
    ):
        expected = weight * plain + (1 - weight) * worst_loss(leads)
        loss = objective.step(batch)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(
            torch.autograd.grad(loss, parameters),
            torch.autograd.grad(expected, parameters, retain_graph=True),
            rtol=1e-4,
            atol=1e-6,
        )


@pytest.mark.parametrize("centred", [False, True])
def test_a_rectified_box_has_the_gradient_of_its_ends(centred: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    first = torch.randn(4, 5, generator=draws, dtype=torch.float64)
    second = torch.rand(4, 5, generator=draws, dtype=torch.float64) + (0 if centred else first)
    given = (first.requires_grad_(), second.detach().requires_grad_())
    box = Box(*given, centred=centred)
    found, ends = box.rectified(), Box(box.lower.relu(), box.upper.relu())
    for ours, theirs in zip(found.around(), ends.around(), strict=True):
        torch.testing.assert_close(ours, theirs)
        weights = torch.rand(4, 5, generator=draws, dtype=torch.float64)
        mine = torch.autograd.grad((ours * weights).sum(), given, retain_graph=True)
        his = torch.autograd.grad((theirs * weights).sum(), given, retain_graph=True)
        for one, other in zip(mine, his, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layer", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)])
def test_a_pooled_box_has_the_gradient_of_its_ends(layer: nn.MaxPool2d) -> None:
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 8, 8, generator=draws)
    convolution = nn.Conv2d(1, 4, 3).requires_grad_(False)
    last = nn.Linear(4, 10)
    batch = Batch(convolution, images, images[:, 0, 0, 0].long(), torch.zeros(3).long(), draws)
    pooled = boxes("interval", batch, [convolution, layer, last], 0.1)[-1]
    around = boxes("interval", batch, [convolution, layer, last], 0.1)[1]
    given = tuple(one.double().requires_grad_() for one in around.around())
    box = Box(*given, centred=True)
    ends = (layer(box.lower), layer(box.upper))
    torch.testing.assert_close(pooled.lower, ends[0].float())
    torch.testing.assert_close(pooled.upper, ends[1].float())
    found = box.pooled(layer)
    weights = torch.rand(2, *ends[0].shape, generator=draws, dtype=torch.float64)
    ours = torch.autograd.grad((found.lower * weights[0] + found.upper * weights[1]).sum(), given)
    theirs = torch.autograd.grad((ends[0] * weights[0] + ends[1] * weights[1]).sum(), given)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_bounds_may_be_taken_of_a_share_of_the_images(make_batch: MakeBatch) -> None:
    batch = make_batch(PLAIN, count=10, progress=1.0)
    found = create_objective("interval", share=0.45, clean=0.25).step(batch)
    part = make_batch(PLAIN, count=4)
    plain = F.cross_entropy(batch.logits(), batch.labels)
    worst = worst_loss(interval_leads("interval", part, 0.3))
    torch.testing.assert_close(found, 0.25 * plain + 0.75 * worst)


def test_lipschitz_constants_are_those_of_the_matrices(make_batch: MakeBatch) -> None:
    batch = make_batch("conv, 3, relu\nflatten\ndense, 8, relu", count=2)
    found = lipschitz_constants("lmt", batch, 200)
    conv, dense, last = (
        m for m in batch.network.children() if isinstance(m, nn.Conv2d | nn.Linear)
    )
    rows = torch.eye(64).view(64, 1, 8, 8)
    matrix = F.conv2d(rows, conv.weight).flatten(1).T
    below = torch.linalg.matrix_norm(matrix, 2) * torch.linalg.matrix_norm(dense.weight, 2)
    expected = below * torch.cdist(last.weight, last.weight)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_what_an_objective_cannot_bound_is_named(make_batch: MakeBatch) -> None:
    batch = make_batch("conv, 4, relu\nbatchnorm\nflatten\ndense, 8, relu")
    with pytest.raises(TrainingError, match="interval has no bounds of BatchNorm2d"):
        create_objective("interval").step(batch)
    with pytest.raises(TrainingError, match="lmt knows no Lipschitz constant of BatchNorm2d"):
        create_objective("lmt").step(batch)
    with pytest.raises(TrainingError, match="oracle asks a teacher"):
        create_objective("oracle").step(make_batch())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("adversarial", {"norm": "1"}, "norm must be"),
        ("adversarial", {"radius": -1.0}, "radius must be"),
        ("trades", {"steps": 0}, "steps must be"),
        ("interval", {"clean": 2.0}, "must be in"),
        ("interval", {"share": 0.0}, "share must be in"),
        ("temperature", {"temperature": 0.0}, "temperature must be"),
        ("ard", {"alpha": 2.0}, "alpha must be"),
        ("lmt", {"radius": float("nan")}, "radius must be"),
        ("jacobian", {"weight": -1.0}, "weight must be"),
        ("adversarial", {"radios": 1.0}, "did you mean 'radius'"),
    ],
)
def test_options_that_make_no_sense(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_objective(name, **options)


def test_a_mixture_is_the_weighted_sum(make_batch: MakeBatch) -> None:
    first, second = create_objective("cross-entropy"), create_objective("mean-squared-error")
    mixture = Mixture((Term(first, 1.0, 0.0, 0.5), Term(second, 3.0, 3.0)))
    batch = make_batch(PLAIN, progress=0.25)
    expected = 0.5 * first.step(batch) + 3 * second.step(batch)
    torch.testing.assert_close(mixture.step(batch), expected)


def test_a_recipe_mixes_objectives(digits: nv.Dataset) -> None:
    recipe = Recipe(
        **{
            **QUICK.model_dump(),
            "mix": [
                {"objective": "cross-entropy", "weight": [1.0, 0.5]},
                {
                    "objective": "adversarial",
                    "options": {"radius": 0.05, "steps": 2},
                    "weight": 0.5,
                },
            ],
        }
    )
    architecture = nv.Architecture.parse("dense, 16, relu")
    version = nv.train(architecture, digits, recipe, seed=3)
    assert version.record.test_accuracy > 0.3
    assert Recipe(**version.record.recipe) == recipe


def test_a_recipes_objective_is_checked_with_its_options(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    base = 'optimiser = "sgd"\nlearning_rate = 0.1\nepochs = 1\nbatch_size = 8\n'
    file.write_text(base + 'objective = "trades"\nobjective_options = { beta = -1 }\n')
    with pytest.raises(ConfigError, match=r"mine.toml: .*beta must be 0 or more"):
        load_recipe(file)
    file.write_text(base + '[[mix]]\nobjective = "intervall"\n')
    with pytest.raises(ConfigError, match=r"mine.toml: .*did you mean 'interval'"):
        load_recipe(file)


def test_a_teacher_is_asked_on_attacked_images(digits: nv.Dataset) -> None:
    asked = []

    def teacher(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return torch.full((len(images), 10), 0.1)

    recipe = QUICK.with_objective("oracle", radius=0.3, steps=1).model_copy(update={"max_steps": 3})
    architecture = nv.Architecture.parse("dense, 16, relu")
    with pytest.raises(TrainingError, match="stayed at chance"):
        nv.train(architecture, digits, recipe, teacher=teacher)
    assert asked == [32, 32, 32]


def test_robust_training_makes_robust(digits: nv.Dataset) -> None:
    """A tenth of the range: what training against it gains over the cross-entropy."""
    architecture = nv.Architecture.parse("dense, 64, relu")
    images, labels = digits.test.images[:100], digits.test.labels[:100]
    attack = nv.attacks.create("deepfool")
    medians = []
    for recipe in (
        load_recipe("small").model_copy(update={"epochs": 10}),
        load_recipe("small")
        .with_objective("adversarial", norm="2", radius=0.8, steps=5)
        .model_copy(update={"epochs": 10}),
    ):
        model = nv.train(architecture, digits, recipe, seed=1).model
        medians.append(float(attack(model, images, labels, seed=0).l2.median()))
    assert medians[1] > 1.15 * medians[0]


def test_certifiable_training_makes_certifiable(digits: nv.Dataset) -> None:
    architecture = nv.Architecture.parse("dense, 32, relu")
    images, labels = digits.test.images[:50], digits.test.labels[:50]
    for objective, norm, options in (
        ("lipschitz-margin", 2, {"radius": 0.8}),
        ("interval", torch.inf, {"radius": 0.1}),
    ):
        means = []
        for recipe in (
            load_recipe("small").model_copy(update={"epochs": 10}),
            load_recipe("small")
            .with_objective(objective, **options)
            .model_copy(update={"epochs": 10}),
        ):
            model = nv.train(architecture, digits, recipe, seed=1).model
            means.append(float(nv.certify(model, images, labels, norm=norm).mean()))
        assert means[1] > 1.15 * means[0]


def test_a_batch_gives_logits_in_float32(make_batch: MakeBatch) -> None:
    batch: Batch = make_batch(half=True)
    assert batch.logits().dtype == torch.float32
