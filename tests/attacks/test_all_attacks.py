"""One table of cases that every attack must pass."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import Attack, AttackResult, create, names
from nversion.attacks.criteria import is_adversarial
from nversion.attacks.verification import eight_bit
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

# Cheaper options, for attacks whose defaults take long; what is asked of the result is the same.
QUICK = {
    "alma": {"steps": 60},
    "apgd": {"epsilon": 0.5, "steps": 20},
    "apgd-l1": {"steps": 15, "searches": 4, "refinements": 10},
    "apgd-targeted": {"steps": 10, "targets": 3, "searches": 3, "refinements": 10},
    "auto": {"epsilon": 0.5, "steps": 10, "targets": 2, "queries": 50},
    "ddn": {"steps": 20},
    "ead": {"iterations": 20, "binary_search_steps": 3, "refinements": 10},
    "fab": {"targets": 3, "steps": 10},
    "fmn": {"steps": 20, "refinements": 10},
    "hop-skip-jump": {"steps": 2, "evaluations": 20},
    "pdgd": {"steps": 60},
    "pdpgd": {"steps": 60},
    "nearest": {"passes": 200},
    "sigma-zero": {"steps": 20, "refinements": 10},
    "square": {"epsilon": 0.5, "queries": 100},
    "slp": {"classes": 2, "steps": 10, "refinements": 5},
    "superdeepfool": {"steps": 10},
    "random-pgd": {"growing": 6, "bisecting": 6, "iterations": 10},
}

# How many of the first six digits an attack may miss with these options.
MAY_MISS = {"gradient": 1, "gradient-sign": 1}

COUNT = 6


def quick(name: str) -> Attack:
    return create(name, **QUICK.get(name, {}))


@functools.cache
def attacked(name: str, victim: Victim) -> AttackResult:
    """Attack the first images as several tests do, once."""
    return quick(name)(victim.model, victim.images[:COUNT], victim.labels[:COUNT])


# One attack after the other, so that of parallel processes only one computes what tests share.
each_attack = pytest.mark.parametrize("name", names(), scope="module")


@each_attack
def test_what_is_returned(name: str, dense: Victim) -> None:
    images, labels = dense.images[:COUNT], dense.labels[:COUNT]
    result = quick(name)(dense.model, images, labels, seed=1)
    assert result.images.shape == images.shape
    assert result.images.dtype == torch.float32
    assert float(result.images.min()) >= 0.0
    assert float(result.images.max()) <= 1.0
    assert int(result.success.sum()) >= COUNT - MAY_MISS.get(name, 0)
    assert not result.already_misclassified.any()
    assert torch.equal(result.predictions != labels, result.success)
    changes = (result.images - images).double().flatten(1).abs()
    won, lost = result.success, ~result.success
    assert torch.allclose(result.l0[won], (changes != 0).sum(dim=1).float()[won])
    assert torch.allclose(result.l1[won], changes.sum(dim=1).float()[won])
    assert torch.allclose(result.l2[won], changes.norm(dim=1).float()[won])
    assert torch.allclose(result.linf[won], changes.amax(dim=1).float()[won])
    for distances in (result.l0, result.l1, result.l2, result.linf):
        assert distances.dtype == torch.float32
        assert distances[lost].isposinf().all()
    assert torch.equal(result.images[lost], images[lost])
    assert result.forwards >= COUNT


@each_attack
def test_success_holds_alone(name: str, convolutional: Victim) -> None:
    labels = convolutional.labels[:COUNT]
    result = attacked(name, convolutional)
    for image, label in zip(result.images[result.success], labels[result.success], strict=True):
        with torch.no_grad():
            assert int(convolutional.model(image[None]).argmax()) != int(label)


@each_attack
@pytest.mark.parametrize("victim", ["dense", "convolutional"])
def test_storable(name: str, victim: str, request: pytest.FixtureRequest) -> None:
    attackable = request.getfixturevalue(victim)
    model, images, labels = attackable
    images, labels = images[:COUNT], labels[:COUNT]
    plain = attacked(name, attackable)
    result = quick(name)(model, images, labels, storable=True)
    assert torch.equal(result.success, plain.success), "an adversarial image was lost"
    won = result.success
    for copies in (result.images[won], eight_bit(result.images[won])):
        with torch.no_grad():
            together = model(copies)
            alone = torch.cat([model(image[None]) for image in copies])
        assert (together.argmax(dim=1) != labels[won]).all()
        assert is_adversarial(alone, labels[won]).float().mean() == 1.0


@each_attack
def test_already_misclassified(name: str, dense: Victim) -> None:
    images, labels = dense.images[:4], dense.labels[:4].clone()
    labels[1] = (labels[1] + 1) % 10
    result = quick(name)(dense.model, images, labels)
    assert result.already_misclassified.tolist() == [False, True, False, False]
    assert not result.success[1]
    assert result.l2[1].isposinf()
    assert torch.equal(result.images[1], images[1])
    assert int(result.predictions[1]) == int(dense.labels[1])


@each_attack
def test_batch_of_one_and_of_none(name: str, dense: Victim) -> None:
    result = quick(name)(dense.model, dense.images[:1], dense.labels[:1])
    assert result.images.shape == (1, 1, 8, 8)
    empty = quick(name)(dense.model, dense.images[:0], dense.labels[:0])
    assert empty.images.shape == (0, 1, 8, 8)
    assert empty.success.shape == empty.l2.shape == empty.linf.shape == (0,)


class Constant(nn.Module):
    """Says 3 to everything; with or without an (all-zero) gradient."""

    def __init__(self, connected: bool) -> None:
        super().__init__()
        self.connected = connected
        self.register_buffer("logits", torch.eye(10)[3:4])

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits.expand(len(images), 10)
        return logits + 0.0 * images.sum() if self.connected else logits


@each_attack
@pytest.mark.parametrize("connected", [True, False])
def test_constant_model(name: str, connected: bool, dense: Victim) -> None:
    images, labels = dense.images[:3], torch.full((3,), 3)
    result = quick(name)(Constant(connected), images, labels)
    assert not result.success.any()
    assert torch.equal(result.images, images)
    assert (result.predictions == 3).all()


class Holed(nn.Module):
    """A network that gives no number for one class once an image has been changed."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        levels = images * 255.0
        changed = ((levels - levels.round()).abs() > 0.01).flatten(1).any(dim=1)
        hole = torch.arange(10) == 0
        return torch.where(changed[:, None] & hole, torch.nan, logits)


@each_attack
def test_a_model_that_gives_no_numbers_near_the_image(name: str, dense: Victim) -> None:
    images, labels = dense.images[:3], dense.labels[:3]
    result = quick(name)(Holed(dense.model), images, labels)
    assert not result.images.isnan().any()
    lost = ~result.success
    assert torch.equal(result.images[lost], images[lost])
    assert result.l2[lost].isposinf().all()


class Masked(nn.Module):
    """A network with a class switched off."""

    def __init__(self, model: nn.Module, fill: float) -> None:
        super().__init__()
        self.model, self.fill = model, fill

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).index_fill(1, torch.tensor([3]), self.fill)


@each_attack
def test_a_class_that_is_switched_off_changes_nothing(name: str, dense: Victim) -> None:
    rows = (dense.labels != 3).nonzero().squeeze(1)[:COUNT]
    images, labels = dense.images[rows], dense.labels[rows]
    expected = quick(name)(Masked(dense.model, -30.0), images, labels)
    assert int(expected.success.sum()) >= COUNT - MAY_MISS.get(name, 0)
    for fill in (-1e4, -1e9, -float("inf")):
        result = quick(name)(Masked(dense.model, fill), images, labels)
        assert torch.equal(result.success, expected.success), fill
        assert torch.allclose(result.l2, expected.l2, rtol=0.02), fill


class Scaled(nn.Module):
    """A network whose logits are multiplied by a number."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


# The cross-entropy's gradient, which these go by, weighs the classes otherwise when the logits are
# scaled; the others go by differences of logits.
BY_ENTROPY = {
    "ddn",
    "apgd",
    "auto",
    "carlini-wagner",
    "gradient",
    "gradient-sign",
    "lbfgs",
    "newtonfool",
    "random-pgd",
    "saliency-map",
}


@each_attack
@pytest.mark.parametrize("power", [-20, -3, 20])
def test_the_scale_of_the_logits_does_not_matter(name: str, dense: Victim, power: int) -> None:
    images, labels = dense.images[:COUNT], dense.labels[:COUNT]
    expected = attacked(name, dense)
    result = quick(name)(Scaled(dense.model, 2.0**power), images, labels)
    if name not in BY_ENTROPY:
        assert torch.equal(result.success, expected.success)
        assert torch.allclose(result.l2, expected.l2, rtol=0.01)
        return
    assert int(result.success.sum()) >= COUNT - 2
    both = result.success & expected.success
    assert float((result.l2 / expected.l2)[both].mean()) < 1.5


class Mirrored(nn.Module):
    """Two logits of opposite sign: near the boundary both say nothing of the rounding in them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        half = (logits[:, :1] - logits[:, 1:2]) / 2.0
        return torch.cat([half, -half], dim=1)


@each_attack
def test_success_is_no_matter_of_rounding_where_both_logits_vanish(
    name: str, dense: Victim
) -> None:
    rows = (dense.labels < 2).nonzero().squeeze(1)[:COUNT]
    images, labels = dense.images[rows], dense.labels[rows]
    model = Mirrored(dense.model)
    result = quick(name)(model, images, labels)
    # NewtonFool aims at an even chance, which for two classes is the boundary itself.
    assert int(result.success.sum()) >= (1 if name == "newtonfool" else len(rows) - 2)
    with torch.no_grad():
        lead, left = (model(x).diff(dim=1).squeeze(1).abs() for x in (images, result.images))
    assert (left > 0.99e-5 * lead).all()


@each_attack
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.index_fill(0, torch.tensor([1]), torch.nan), "NaN"),
        (lambda images: images * 255.0, r"\[0, 1\]"),
        (lambda images: images - 0.5, r"\[0, 1\]"),
        (lambda images: (images * 255.0).to(torch.uint8), "divide"),
        (lambda images: images[0], "shape"),
        (lambda images: images.numpy(), "torch.Tensor"),
    ],
)
def test_refused_images(
    name: str, change: Callable[[Tensor], Any], message: str, dense: Victim
) -> None:
    with pytest.raises(InputError, match=message):
        quick(name)(dense.model, change(dense.images[:3]), dense.labels[:3])


@each_attack
def test_refused_labels(name: str, dense: Victim) -> None:
    for labels in (torch.tensor([1]), torch.tensor([1, 2, 10]), torch.tensor([1.0, 2.0, 3.0])):
        with pytest.raises(InputError, match="labels"):
            quick(name)(dense.model, dense.images[:3], labels)


@each_attack
def test_model_is_handed_back_as_it_was(name: str, convolutional: Victim) -> None:
    images, labels = convolutional.images[:3], convolutional.labels[:3]
    expected = quick(name)(convolutional.model, images, labels)
    model = copy.deepcopy(convolutional.model)
    model.train()
    model[0].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    result = quick(name)(model, images, labels)
    assert torch.equal(result.images, expected.images), "not attacked in evaluation mode"
    assert [module.training for module in model.children()] == [False] + [True] * (len(model) - 1)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    assert wanted == [False] + [True] * (len(wanted) - 1)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@each_attack
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes(name: str, dtype: torch.dtype, dense: Victim) -> None:
    model = copy.deepcopy(dense.model).to(dtype)
    images, labels = dense.images[:COUNT].double(), dense.labels[:COUNT]
    result = quick(name)(model, images, labels)
    assert result.images.dtype == torch.float32
    won = result.success
    assert int(won.sum()) >= COUNT - MAY_MISS.get(name, 0) - 1
    for image, label in zip(result.images[won], labels[won], strict=True):
        with torch.no_grad():
            assert int(model(image[None].to(dtype)).argmax()) != int(label)


@each_attack
def test_inside_no_grad_and_inference_mode(name: str, dense: Victim) -> None:
    images, labels = dense.images[:2], dense.labels[:2]
    expected = quick(name)(dense.model, images, labels)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            result = quick(name)(dense.model, images.clone(), labels)
        assert torch.equal(result.images, expected.images)


@each_attack
@pytest.mark.parametrize(("victim", "storable"), [("dense", False), ("convolutional", True)])
def test_same_bits_in_every_batch(
    name: str, victim: str, storable: bool, request: pytest.FixtureRequest
) -> None:
    model, images, labels = request.getfixturevalue(victim)
    options = {"seed": 3, "storable": storable}
    whole = quick(name)(model, images[:8], labels[:8], **options)
    for rows in ([5], [7, 0, 1, 6]):
        part = quick(name)(model, images[rows], labels[rows], **options)
        assert torch.equal(part.images, whole.images[rows])
        assert torch.equal(part.success, whole.success[rows])
        assert torch.equal(part.l2, whole.l2[rows])


@each_attack
def test_options_by_name(name: str) -> None:
    attack = create(name)
    assert create(name, **attack.options()) == attack
    with pytest.raises(InputError, match="no option 'colour'"):
        create(name, colour="red")


@each_attack
def test_options_are_json_values(name: str) -> None:
    options = create(name).options()
    again = json.loads(json.dumps(options, allow_nan=False))
    assert again == options
    assert create(name, **again) == create(name)


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="gradient-sign"):
        create("gradient-sine")
