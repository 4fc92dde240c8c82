"""The result of an attack on a program, the diversity budget, and the doctor."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import pytest
import torch
from linear_members import equal_members, grey, unequal_members
from torch import Tensor, nn

import nversion as nv
from nversion.attacks.doctor import examine
from nversion.attacks.votes import cosine_needed, diversity_budget
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.methods import Budget, methods_for
from nversion.attacks.votes.search import Search
from nversion.ensemble import Ensemble, VoteRule
from nversion.models import frozen
from nversion.program.voters.base import PROBABILITY_STEP

Three: TypeAlias = tuple[list[nn.Module], Tensor]


def small(seed: int) -> nn.Module:
    draws = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=draws) * 0.6)
    return model.eval()


@pytest.fixture(scope="module")
def three() -> Three:
    images = torch.rand(5, 1, 4, 6, generator=torch.Generator().manual_seed(1))
    return [small(seed) for seed in range(3)], images


def test_an_image_has_the_same_result_alone(three: Three) -> None:
    models, images = three
    program = nv.Program(models, "majority")
    verdicts = program.vote(images).labels
    labels = torch.where(verdicts < 0, 0, verdicts)
    labels[1] = (labels[1] + 1) % 3
    together = nv.attack_program(program, images, labels, norm="inf", seed=3)
    assert bool(together.already_misclassified[1])
    assert not bool(together.success[1])
    assert together.attack[1] == ""
    for row in (0, 4):
        alone = nv.attack_program(
            program, images[row : row + 1], labels[row : row + 1], norm="inf", seed=3
        )
        assert torch.equal(alone.images[0], together.images[row])
        assert alone.attack[0] == together.attack[row]
    said = program.vote(together.images).labels
    assert torch.equal(said, together.predictions)
    assert bool((said != labels)[together.success].all())
    wrong = together.wrong
    assert bool((program.vote(wrong.images).labels >= 0)[wrong.success].all())
    assert bool((wrong.linf >= together.linf - 1e-6)[wrong.success].all())
    assert together.forwards > together.backwards > 0


def test_what_is_no_program_is_refused(three: Three) -> None:
    models, images = three
    with pytest.raises(nv.NVersionError, match=r"make a program of the networks"):
        nv.attack_program(models[0], images, torch.zeros(5, dtype=torch.int64))
    program = nv.Program(models)
    with pytest.raises(nv.NVersionError, match="norm must be 2 or inf"):
        nv.attack_program(program, images, torch.zeros(5, dtype=torch.int64), norm=1)
    with pytest.raises(nv.NVersionError, match="no images"):
        nv.attack_program(program, images[:0], torch.zeros(0, dtype=torch.int64))


def test_programs_are_ensembles() -> None:
    program = nv.Program(equal_members(4, 0.2), "majority")
    assert isinstance(program, Ensemble)
    rule = program.rule
    assert rule == VoteRule((1.0,) * 4, False, 2 + PROBABILITY_STEP / 2, True, True)
    assert rule.needed(0, 1, 2, verdict=False) == 2
    assert rule.needed(0, 1, 2, verdict=True) == 3
    weighted = nv.Program(equal_members(3, 0.2), "majority", weights=[1, 1, 4]).rule
    assert weighted.needed(0, 1, 2, verdict=True) == 1
    # Of three classes the one with two votes of five is no majority, but a plurality.
    split = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 2, 3], [0, 0, 0, 1, 2]])
    five = equal_members(5, 0.2)
    assert nv.Program(five, "majority").rule.winners(split, 4).tolist() == [-1, -1, 0]
    assert nv.Program(five, "plurality").rule.winners(split, 4).tolist() == [-1, 0, 0]
    images, _ = grey(count=3)
    logits = torch.stack([model(images) for model in program.models])
    assert torch.allclose(program.combine(logits), program(images))
    assert torch.equal(program.verdicts(logits), program.vote(images).labels)


def test_the_budget_of_equal_members_is_the_closed_form() -> None:
    members, (images, labels) = equal_members(5, 0.3), grey()
    budget = diversity_budget(nv.Program(members, "mean-logits"), images, labels)
    exact = 1 / 8 * math.sqrt(5 / (1 + 4 * 0.3))
    assert float(budget.predicted) == pytest.approx(exact, rel=1e-4)
    assert float(budget.equal_members) == pytest.approx(exact, rel=1e-4)
    assert float(budget.best_member) == pytest.approx(1 / 8, rel=1e-4)
    assert float(budget.cosine) == pytest.approx(0.3, abs=1e-4)
    assert float(budget.lost_to_alignment) == pytest.approx(1, abs=1e-3)
    assert budget.cosine_for_twice == pytest.approx(0.0625)
    assert cosine_needed(10) == pytest.approx(1 / 6)
    assert cosine_needed(10**6) == pytest.approx(0.25, abs=1e-5)


def test_the_budget_of_unequal_members_names_them() -> None:
    members, (images, labels) = unequal_members(5), grey()
    budget = diversity_budget(nv.Program(members, "mean-logits"), images, labels, norm="inf")
    assert 0 < float(budget.lost_to_inequality) < 1
    assert float(budget.lost_to_inequality + budget.lost_to_alignment) == pytest.approx(1)
    assert budget.cosine_for_twice is None


class Masked(nn.Module):
    """A network behind a rounding of its input, through which no gradient comes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images * 8).round() / 8)


class Batched(nn.Module):
    """A network whose answers depend on the other images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) + images.mean(dim=(0, 1, 2, 3)) * torch.arange(3.0)


class Noisy(nn.Module):
    """A network that draws when it is evaluated."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images + 0.1 * torch.rand_like(images))


def test_verdicts_alone_are_asked_for_where_gradients_are_masked(three: Three) -> None:
    models, images = three
    program = nv.Program([Masked(model) for model in models], "majority")
    labels = program.vote(images).labels.clamp(min=0)
    right = program.vote(images).labels == labels
    found = nv.attack_program(program, images[right], labels[right], norm=2)
    assert bool(found.success.any())
    assert {name for name in found.attack if name} <= {
        "log-mean-softmax afresh",  # whose random start may do without a gradient
        "hop-skip-jump on labels",
        "square on labels",
    }


@pytest.mark.parametrize("voter", ["majority", "median-softmax", "mean-softmax"])
def test_what_is_run_on_a_vote_depends_on_how_it_is_made(voter: str, three: Three) -> None:
    models, images = three
    program = nv.Program(models, voter)
    with frozen(program):
        search = Search(Members(program, images), images, torch.zeros(5).long(), "linf")
        listed = methods_for(search, False, 0, Budget())
    names = [method.name for method in listed]
    assert [method.name for method in listed if method.last_resort] == names[-2:]
    assert names[-2:] == ["hop-skip-jump on labels", "square on labels"]
    if voter == "mean-softmax":
        assert names[:2] == ["linear", "slp"]
        assert "vote-deepfool" not in names
    else:
        assert names[:5] == [
            "linear on log-mean-softmax",
            "vote-deepfool",
            "kth-margin",
            "log-mean-softmax afresh",
            "mean-loss afresh",
        ]
        assert {"slp on log-mean-softmax", "slp on mean-logit", "reweighted"} <= set(names)


def failed(model: nn.Module, images: Tensor) -> set[str]:
    labels = torch.as_tensor(nv.Program([small(0)]).vote(images).labels)
    return {check.name for check in examine(model, images, labels, epsilon=0.2).failed}


def test_the_doctor_passes_a_plain_network(three: Three) -> None:
    assert failed(small(0), three[1]) == set()


def test_the_doctor_notices_masked_gradients(three: Three) -> None:
    assert "gradients" in failed(Masked(small(0)), three[1])
    assert "batches" in failed(Batched(small(0)), three[1])
    assert failed(Noisy(small(0)), three[1]) == {"asked again"}


def test_the_doctor_transfers_from_a_programs_versions(three: Three) -> None:
    models, images = three
    program = nv.Program(models)
    labels = program.vote(images).labels
    found = {check.name: check for check in examine(program, images, labels, norm=2).checks}
    assert found["transfer"].passed is not None
    assert found["ties"].passed
