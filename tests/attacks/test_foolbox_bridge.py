"""The bridge to Foolbox 3: everything but the first tests needs it installed."""

from __future__ import annotations

import pickle
import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create, names
from nversion.attacks.criteria import log_odds, towards_errors
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError, MissingExtraError
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def test_without_foolbox_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nversion\[foolbox\]'"):
        create("foolbox:EADAttack")


def test_bridged_attacks_are_not_among_the_names() -> None:
    assert not [name for name in names() if name.startswith("foolbox")]


def test_what_foolbox_is_given_answers_as_the_oracle_does(convolutional: Victim) -> None:
    """Alone or not, the same bits; with the gradient that the oracle itself takes."""
    with frozen(convolutional.model) as model:
        oracle = Oracle(model)
        images, labels = convolutional.images[:5], convolutional.labels[:5]
        leaf = images[1:2].clone().requires_grad_()
        logits = oracle.graph(leaf)
        assert torch.equal(logits.detach(), oracle.logits(images)[1:2])
        (gradient,) = torch.autograd.grad(log_odds(logits, labels[1:2]).sum(), leaf)
        _, expected = oracle.gradient(images, towards_errors(labels))
        assert torch.equal(gradient, expected[1:2])


@pytest.fixture
def foolbox() -> Any:
    return pytest.importorskip("foolbox")


CASES = {
    "foolbox:L2DeepFoolAttack": {},
    "foolbox:LinfDeepFoolAttack": {},
    "foolbox:BoundaryAttack": {"steps": 60, "init_attack": "SaltAndPepperNoiseAttack"},
    "foolbox:LinfPGD": {"epsilon": 0.3, "steps": 15},
    "foolbox:L2AdditiveGaussianNoiseAttack": {"epsilon": 5.0},
    "foolbox:InversionAttack": {"distance": "linf"},
    "foolbox:SaltAndPepperNoiseAttack": {"steps": 20},
    "foolbox:DDNAttack": {"steps": 20},
    "foolbox:SpatialAttack": {"grid_search": False, "random_steps": 10},
    "foolbox:VirtualAdversarialAttack": {"steps": 3, "epsilon": 3.0},
}

each_case = pytest.mark.parametrize("name", list(CASES))


@each_case
def test_what_is_returned(name: str, dense: Victim, foolbox: Any) -> None:
    images, labels = dense.images[:5], dense.labels[:5].clone()
    labels[2] = (labels[2] + 1) % 10
    attack: Any = create(name, **CASES[name])
    assert attack.name == name
    result = attack(dense.model, images, labels)
    assert result.already_misclassified.tolist() == [False, False, True, False, False]
    assert not result.success[2]
    assert float(result.images.min()) >= 0.0
    assert float(result.images.max()) <= 1.0
    won = result.success
    with torch.no_grad():
        assert (dense.model(result.images[won]).argmax(dim=1) != labels[won]).all()
    assert torch.equal(result.images[~won], images[~won])
    distances = getattr(result, attack.norm)
    if attack.epsilon is not None:
        assert (distances[won].double() <= attack.epsilon).all()


@each_case
def test_same_bits_in_every_batch_and_no_trace_left(
    name: str, convolutional: Victim, foolbox: Any
) -> None:
    model, images, labels = convolutional
    attack = create(name, **CASES[name])
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    whole = attack(model, images[:4], labels[:4], seed=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    for rows in ([2], [3, 0]):
        part = attack(model, images[rows], labels[rows], seed=3)
        assert torch.equal(part.images, whole.images[rows])


def test_the_best_of_them_find_something(dense: Victim, foolbox: Any) -> None:
    images, labels = dense.images[:6], dense.labels[:6]
    for name in ("foolbox:L2DeepFoolAttack", "foolbox:BoundaryAttack", "foolbox:LinfPGD"):
        assert create(name, **CASES[name])(dense.model, images, labels).success.sum() >= 5


def test_norms_follow_the_attack(foolbox: Any) -> None:
    norms = {name: create(name, **options).norm for name, options in CASES.items()}
    assert norms["foolbox:LinfPGD"] == "linf"
    assert norms["foolbox:L2DeepFoolAttack"] == "l2"
    assert norms["foolbox:InversionAttack"] == "linf"
    assert create("foolbox:EADAttack").norm == "l1"


def test_options_are_foolbox_s_own_and_pickle(foolbox: Any) -> None:
    attack = create("foolbox:BoundaryAttack", steps=7)
    assert attack.options()["spherical_step"] == 0.01
    assert attack.options()["steps"] == 7
    assert create("foolbox:BoundaryAttack", **attack.options()) == attack
    assert pickle.loads(pickle.dumps(attack)) == attack


def test_no_start_is_a_failure(foolbox: Any) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.eye(10)[3:4].expand(len(images), 10)

    images = torch.rand(2, 1, 8, 8)
    attack = create("foolbox:BoundaryAttack", steps=5)
    result = attack(Constant(), images, torch.tensor([3, 3]))
    assert not result.success.any()
    fixed = create("foolbox:LinfPGD", epsilon=0.1, steps=3)
    assert not fixed(Constant(), images, torch.tensor([3, 3])).success.any()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("foolbox:NoSuchAttack", {}, "foolbox:BoundaryAttack"),
        ("foolbox:Attack", {}, "no attack"),
        ("foolbox:BoundaryAttack", {"colour": 1}, "no option 'colour'"),
        ("foolbox:LinfPGD", {}, "needs an epsilon"),
        ("foolbox:LinfPGD", {"epsilon": -1.0}, "epsilon"),
        ("foolbox:InversionAttack", {"distance": "l7"}, "distance must be one of"),
        ("foolbox:BoundaryAttack", {"init_attack": "Nothing"}, "foolbox:Nothing"),
        ("foolbox:EADAttack", {"decision_rule": "L7"}, "invalid decision rule"),
        ("foolbox:VirtualAdversarialAttack", {"epsilon": 1.0}, "steps"),
    ],
)
def test_refused(name: str, options: dict[str, Any], message: str, foolbox: Any) -> None:
    with pytest.raises(InputError, match=message):
        create(name, **options)
