from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from nversion.errors import InputError
from nversion.program import KOfN, Program, vote_outputs, voter_names


def networks(count: int, classes: int = 4, *, seed: int = 0) -> list[nn.Module]:
    """Small networks of different kinds: linear, dense with dropout, convolutional."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kinds = (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, classes)),
            lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(36, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, classes)
            ),
            lambda: nn.Sequential(
                nn.Conv2d(1, 3, 3),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(48, classes),
            ),
        )
        return [kinds[place % 3]() for place in range(count)]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(11, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", voter_names())
def test_the_output_is_a_distribution_with_a_gradient(name: str, images: torch.Tensor) -> None:
    program = Program(networks(5), voter=name).eval()
    leaf = images.clone().requires_grad_(True)
    logs = program(leaf)
    torch.testing.assert_close(logs.exp().sum(dim=1), torch.ones(11))
    (gradient,) = torch.autograd.grad(logs[:, 0].sum(), leaf)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().amax(dim=(1, 2, 3)).min()) > 0


@pytest.mark.parametrize("name", ["mean-softmax", "mean-logits", "median-softmax"])
def test_a_soft_voter_shows_attacks_what_it_votes(name: str, images: torch.Tensor) -> None:
    program = Program(networks(6), voter=name).eval()
    verdict = program.vote(images)
    logs = program(images)
    torch.testing.assert_close(logs.exp(), verdict.probabilities, atol=1e-6, rtol=1e-5)
    assert torch.equal(logs.argmax(dim=1), verdict.labels)


@pytest.mark.parametrize("name", ["majority", "k-of-n"])
def test_a_hard_voter_shows_attacks_the_mean_softmax(name: str, images: torch.Tensor) -> None:
    models = networks(5)
    hard, soft = Program(models, voter=name).eval(), Program(models).eval()
    assert torch.equal(hard(images), soft(images))


def test_the_gradient_is_the_gradient(images: torch.Tensor) -> None:
    for name in ("mean-softmax", "mean-logits"):
        program = Program(networks(4), voter=name, weights=[1, 2, 3, 4]).double().eval()
        leaf = images[:2].double().requires_grad_(True)
        assert torch.autograd.gradcheck(program, leaf)


def test_large_logits_stay_finite(images: torch.Tensor) -> None:
    class Scaled(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.inner(inputs) * 1e4

    program = Program([Scaled(model) for model in networks(3)]).eval()
    leaf = images.clone().requires_grad_(True)
    logs = program(leaf)
    (gradient,) = torch.autograd.grad(logs.sum(), leaf)
    assert bool(logs.isfinite().all())
    assert bool(gradient.isfinite().all())


def test_log_probabilities_do_for_a_version(images: torch.Tensor) -> None:
    models = networks(3)
    as_logs = [nn.Sequential(model, nn.LogSoftmax(dim=1)) for model in models]
    one, other = Program(models).eval(), Program(as_logs).eval()
    torch.testing.assert_close(one(images), other(images))
    nested = Program([Program(models[:2]), Program([models[2]])], weights=[2, 1]).eval()
    torch.testing.assert_close(nested(images), one(images))


@pytest.mark.parametrize("name", ["mean-softmax", "majority", "k-of-n", "median-softmax"])
def test_a_vote_over_stored_outputs_is_the_vote(name: str, images: torch.Tensor) -> None:
    program = Program(networks(5), voter=name)
    live, stored = program.vote(images), vote_outputs(program.outputs(images), name)
    assert torch.equal(live.labels, stored.labels)
    assert torch.equal(live.probabilities, stored.probabilities)
    assert torch.equal(live.agreement, stored.agreement)


def test_a_verdict_does_not_depend_on_the_batch(images: torch.Tensor) -> None:
    program = Program(networks(5))
    whole = program.vote(images)
    assert torch.equal(whole.probabilities, program.vote(images, batch_size=4).probabilities)
    assert torch.equal(whole.probabilities[3:4], program.vote(images[3:4]).probabilities)


def test_versions_are_used_in_evaluation_mode_and_handed_back(images: torch.Tensor) -> None:
    program = Program(networks(5)).train()
    first, second = program.vote(images), program.vote(images)
    assert torch.equal(first.probabilities, second.probabilities)
    assert all(module.training for module in program.modules())
    assert all(parameter.requires_grad for parameter in program.parameters())


def test_versions_may_differ_in_dtype(images: torch.Tensor) -> None:
    models = networks(3)
    before = Program(models).vote(images)
    models[1].double()
    verdict = Program(models).vote(images)
    torch.testing.assert_close(verdict.probabilities, before.probabilities)


def test_the_versions_are_registered_and_the_program_can_be_copied(images: torch.Tensor) -> None:
    models = networks(3)
    program = Program(models, voter=KOfN(2))
    ours, theirs = list(program.parameters()), [p for m in models for p in m.parameters()]
    assert len(ours) == len(theirs)
    assert "k-of-n" in repr(program)
    copy = pickle.loads(pickle.dumps(program))
    assert torch.equal(copy.vote(images).labels, program.vote(images).labels)


@pytest.mark.parametrize(
    ("models", "options", "said"),
    [
        ([], {}, "1 to"),
        (["network"], {}, r"models\[0\] must be a torch.nn.Module"),
        (networks(2), {"voter": KOfN(3)}, "there are 2 versions only"),
        (networks(2), {"voter": "k-of-n", "weights": [1, 1]}, "no weights"),
        (networks(2), {"weights": [1, -1]}, "positive"),
        (networks(2), {"weights": {"a": 1, "b": 2}}, "in their order, not a dict"),
    ],
)
def test_bad_programs_are_refused(models: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Program(models, **options)


def test_a_version_of_other_classes_is_named_and_voted_out(images: torch.Tensor) -> None:
    models = networks(2)
    program = Program([*models, *networks(1, classes=3)]).eval()
    with pytest.raises(InputError, match=r"models\[2\]"):
        program(images)
    verdict = program.vote(images)
    assert str(*verdict.faults) == "models[2] gives 3 classes, where most versions give 4"
    assert torch.equal(verdict.labels, Program(models).vote(images).labels)
    assert bool((verdict.predictions[2] == -1).all())


def test_images_are_checked(images: torch.Tensor) -> None:
    program = Program(networks(2))
    for wrong in (images * 255, images[0], images[:0]):
        with pytest.raises(InputError):
            program.vote(wrong)
