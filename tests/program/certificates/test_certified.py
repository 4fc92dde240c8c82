from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nversion import attacks
from nversion.certification import certify
from nversion.errors import InputError, UnsupportedModuleError
from nversion.program import (
    Borda,
    Consensus,
    KOfN,
    Majority,
    MaximumConfidence,
    MeanLogits,
    MeanSoftmax,
    MedianSoftmax,
    Plurality,
    Program,
    TrimmedMean,
    Voter,
    certified_vote_radii,
    certify_program,
    certify_program_smoothing,
    compare_with_versions,
)

NORMS = (1.0, 2.0, math.inf)
VOTERS = [
    *(MeanSoftmax(), MeanLogits(), MedianSoftmax(), TrimmedMean(), MaximumConfidence()),
    *(Plurality(), Majority(), KOfN(4), Consensus(), Borda()),
]
CLASSES = 3

# One voter after the other, so that of parallel processes only one certifies its votes.
each_voter = pytest.mark.parametrize("voter", VOTERS, ids=lambda voter: voter.name, scope="module")


def versions(count: int = 5) -> list[nn.Module]:
    """Small networks that agree on most images, as versions do: one linear map, varied."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        shared = torch.randn(CLASSES, 16) * 2
        models: list[nn.Module] = []
        for place in range(count):
            if place % 2:
                first: list[nn.Module] = [nn.Conv2d(1, 4, 2), nn.ReLU(), nn.Flatten()]
                width = 36
            else:
                first, width = [nn.Flatten(), nn.Linear(16, 12), nn.ReLU()], 12
            model = nn.Sequential(*first, nn.Linear(width, CLASSES))
            fit(model, shared)
            models.append(model)
    return models


def fit(model: nn.Module, shared: torch.Tensor) -> None:
    images = torch.rand(256, 1, 4, 4)
    labels = (images.flatten(1) @ shared.T).argmax(dim=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


MODELS = versions()
IMAGES = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(9))


@functools.cache
def certified(
    voter: Voter, norm: float, box: tuple[float, float] | None = (0.0, 1.0)
) -> tuple[Program, Tensor, Tensor]:
    program = Program(MODELS, voter)
    labels = program.vote(IMAGES).labels.clamp(min=0)
    return program, labels, certify_program(program, IMAGES, labels, norm, box=box)


@functools.cache
def attacked(voter: Voter, name: str) -> attacks.AttackResult:
    program = Program(MODELS, voter)
    labels = program.vote(IMAGES).labels.clamp(min=0)
    return attacks.create(name)(program, IMAGES, labels)


def on_the_sphere(radii: torch.Tensor, norm: float, seed: int) -> torch.Tensor:
    """Random changes of exactly the given length, [count, 16]."""
    randomness = torch.Generator().manual_seed(seed)
    change = torch.randn(len(radii), 16, generator=randomness, dtype=torch.float64)
    if seed % 2:
        change = change.sign() if math.isinf(norm) else change.pow(5)
    return change / change.norm(p=norm, dim=1, keepdim=True) * radii.double()[:, None]


@pytest.mark.parametrize("norm", NORMS)
@each_voter
def test_no_point_of_the_ball_changes_the_verdict(voter: Voter, norm: float) -> None:
    program, labels, radii = certified(voter, norm)
    assert int((radii > 0).sum()) >= 5
    images, labels, radii = IMAGES[radii > 0], labels[radii > 0], radii[radii > 0]
    for seed in range(20):
        change = on_the_sphere(radii, norm, seed).reshape(images.shape).float()
        assert torch.equal(program.vote((images + change * 0.9999).clamp(0, 1)).labels, labels)


@pytest.mark.parametrize("norm", NORMS)
@each_voter
def test_no_attack_on_the_program_comes_nearer(voter: Voter, norm: float) -> None:
    program, labels, radii = certified(voter, norm)
    for name in ("gradient", "gradient-sign", "random-pgd"):
        result = attacked(voter, name)
        changed = program.vote(result.images).labels != labels
        changed &= ~result.already_misclassified
        change = (result.images - IMAGES).flatten(1).double()
        distances = change.norm(p=norm, dim=1)
        assert int(changed.sum()) >= 2  # the attack must test something
        assert bool((distances[changed] >= radii[changed].double()).all())


@pytest.mark.parametrize("norm", [2.0, math.inf])
@each_voter
def test_no_search_inside_the_ball_changes_the_verdict(voter: Voter, norm: float) -> None:
    """Projected gradient descent on the votes' lead, just inside the certificate."""
    program, labels, radii = certified(voter, norm)
    program.eval()
    kept = radii > 0
    images, labels, radii = IMAGES[kept], labels[kept], radii[kept] * 0.9999
    for target in range(CLASSES):
        change = on_the_sphere(radii, norm, target).reshape(images.shape).float() * 0.5
        for _ in range(30):
            change.requires_grad_(True)
            members = program.members((images + change).clamp(0, 1))
            own = members.gather(2, labels.expand(5, -1)[:, :, None]).squeeze(2)
            # Sigmoids of the margins approach the number of versions that were won over.
            won = torch.sigmoid(4 * (members[:, :, target] - own)).sum()
            (gradient,) = torch.autograd.grad(won, change)
            flat = gradient.flatten(1)
            step = flat.sign() if math.isinf(norm) else nn.functional.normalize(flat, dim=1)
            moved = change.detach().flatten(1) + 0.2 * radii[:, None] * step
            if math.isinf(norm):
                moved = torch.minimum(torch.maximum(moved, -radii[:, None]), radii[:, None])
            else:
                length = moved.norm(dim=1, keepdim=True)
                moved = moved * (radii[:, None] / length).clamp(max=1)
            change = moved.reshape(images.shape)
            assert torch.equal(program.vote((images + change).clamp(0, 1)).labels, labels)


@pytest.mark.parametrize(
    ("voter", "share"),
    # The medians of the label and of its rival are bounded apart, which is not quite tight.
    [(MeanSoftmax(), 0.99), (MedianSoftmax(), 0.95), (Majority(), 0.99), (KOfN(3), 0.99)],
)
def test_copies_of_one_version_are_certified_like_it(voter: Voter, share: float) -> None:
    model = MODELS[0]
    program = Program([model] * 3, voter)
    labels = program.vote(IMAGES).labels
    alone = certify(model, IMAGES, labels, 2.0)
    together = certify_program(program, IMAGES, labels, 2.0)
    assert bool((together >= share * alone).all())


@pytest.mark.parametrize("norm", NORMS)
def test_the_mean_of_linear_versions_is_linear(norm: float) -> None:
    """With the exact distances to the joined hyperplanes."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        models = [nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)) for _ in range(4)]
    weights = [1.0, 2.0, 0.5, 1.0]
    shares = torch.tensor(weights).double() / sum(weights)
    weight = sum(s * m[1].weight.double() for s, m in zip(shares, models, strict=True)).detach()
    bias = sum(s * m[1].bias.double() for s, m in zip(shares, models, strict=True)).detach()
    logits = IMAGES.flatten(1).double() @ weight.T + bias
    labels = logits.argmax(dim=1)
    dual = {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[norm]
    exact = torch.full((len(IMAGES),), torch.inf, dtype=torch.float64)
    for other in range(CLASSES):
        margin = logits.gather(1, labels[:, None]).squeeze(1) - logits[:, other]
        distance = margin / (weight[labels] - weight[other]).norm(p=dual, dim=1)
        exact = torch.where(labels == other, exact, torch.minimum(exact, distance))
    plain = Program(models, MeanLogits(), weights)
    as_logs = [nn.Sequential(model, nn.LogSoftmax(dim=1)) for model in models]
    radii = certify_program(plain, IMAGES, labels, norm, box=None).double()
    assert bool((radii <= exact).all())
    far = exact > 1e-3
    assert bool((radii[far] >= 0.97 * exact[far]).all())
    through_logs = certify_program(
        Program(as_logs, MeanLogits(), weights), IMAGES, labels, norm, box=None
    ).double()
    assert bool((through_logs <= exact).all())
    assert int((through_logs > 0).sum()) >= 5


@pytest.mark.parametrize("voter", [Plurality(), Majority(), KOfN(4)], ids=lambda voter: voter.name)
def test_votes_are_certified_at_least_as_far_as_order_statistics_say(voter: Voter) -> None:
    program, labels, radii = certified(voter, 2.0)
    classes = torch.stack([model(IMAGES).argmax(dim=1) for model in MODELS])
    own = torch.stack(
        [certify(model, IMAGES, classes[place], 2.0) for place, model in enumerate(MODELS)]
    )
    least = certified_vote_radii(
        own, classes, labels, needed=voter.threshold(5) if isinstance(voter, KOfN) else -math.inf
    )
    right = program.vote(IMAGES).labels == labels
    assert bool((radii[right] >= least[right] * (1 - 1e-6)).all())


def test_another_verdict_or_none_is_not_certified() -> None:
    program = Program(MODELS)
    labels = program.vote(IMAGES).labels
    wrong = (labels + 1) % CLASSES
    assert bool((certify_program(program, IMAGES, wrong, 2.0) == 0).all())
    split = Program([MODELS[0], nn.Sequential(MODELS[0], Reversed())], "majority")
    tied = split.vote(IMAGES).labels == -1
    assert bool(tied.any())
    radii = certify_program(split, IMAGES[tied], labels[tied], 2.0)
    assert bool((radii == 0).all())


class Reversed(nn.Module):
    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * -1.0


def test_what_cannot_be_bounded_is_named() -> None:
    program = Program([MODELS[0], nn.Sequential(MODELS[1], nn.Softplus())])
    labels = program.vote(IMAGES).labels
    with pytest.raises(UnsupportedModuleError, match="Softplus"):
        certify_program(program, IMAGES, labels, 2.0)


def test_bad_input_is_refused() -> None:
    program = Program(MODELS)
    labels = torch.zeros(len(IMAGES), dtype=torch.int64)
    for images, wanted, norm in (
        (IMAGES * 2, labels, 2.0),
        (IMAGES, labels[:-1], 2.0),
        (IMAGES, labels + CLASSES, 2.0),
        (IMAGES, labels, 3.0),
    ):
        with pytest.raises(InputError):
            certify_program(program, images, wanted, norm)
    with pytest.raises(InputError, match="start"):
        certify_program(program, IMAGES, labels, 2.0, start=torch.ones(3))
    assert certify_program(program, IMAGES[:0], labels[:0], 2.0).shape == (0,)


def test_radii_do_not_depend_on_the_other_images() -> None:
    program, labels, radii = certified(MeanSoftmax(), 2.0)
    part = certify_program(program, IMAGES[3:5], labels[3:5], 2.0)
    torch.testing.assert_close(part, radii[3:5], rtol=1e-4, atol=0)


def test_the_comparison_adds_up() -> None:
    program = Program(MODELS)
    labels = program.vote(IMAGES).labels
    found = compare_with_versions(program, IMAGES, labels, 2.0)
    assert found.versions.shape == (5, len(IMAGES))
    start = found.versions.double().quantile(0.5, dim=0)
    again = certify_program(program, IMAGES, labels, 2.0, start=start)
    assert torch.equal(found.program, again)
    # The search's beginning decides on its time, not on what it finds.
    torch.testing.assert_close(
        certify_program(program, IMAGES, labels, 2.0), again, rtol=5e-3, atol=0
    )
    means = found.versions.double().mean(dim=1)
    assert found.best_mean == pytest.approx(float(means.max()))
    assert found.version_means[found.best_version] == found.best_mean
    assert found.median_mean == pytest.approx(float(means.sort().values[2]))
    assert found.mean == pytest.approx(float(found.program.mean()))
    assert 0 <= found.share_above_best <= found.share_above_median <= 1


def _with_a_hook(model: nn.Module) -> None:
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))


def _at_random(model: nn.Module) -> None:
    assert isinstance(model, nn.Sequential)
    model.append(Noise())


class Noise(nn.Module):
    """Adds a little noise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1e-3 * torch.randn(CLASSES)


@pytest.mark.parametrize("voter", VOTERS, ids=str)
@pytest.mark.parametrize(("change", "reason"), [(_with_a_hook, "pre-hook"), (_at_random, "random")])
def test_a_vote_with_a_version_that_is_not_what_is_traced_is_refused(
    voter: Voter, change: Callable[[nn.Module], None], reason: str
) -> None:
    models = [copy.deepcopy(model) for model in MODELS]
    change(models[2])
    program = Program(models, voter)
    labels = Program(MODELS, voter).vote(IMAGES).labels.clamp(min=0)
    with pytest.raises(UnsupportedModuleError, match=reason):
        certify_program(program, IMAGES, labels, 2)


def test_a_hook_on_the_program_itself_is_refused() -> None:
    program, labels, _ = certified(Majority(), 2.0)
    changed = Program(program.models, Majority())
    _with_a_hook(changed)
    with pytest.raises(UnsupportedModuleError, match="pre-hook on Program"):
        certify_program(changed, IMAGES, labels, 2)


def test_smoothing_refuses_a_random_version_that_no_verdict_shows() -> None:
    models = [copy.deepcopy(model) for model in MODELS]
    _at_random(models[2])
    with pytest.raises(UnsupportedModuleError, match="random"):
        certify_program_smoothing(Program(models, "majority"), IMAGES, 0.25, samples=100)
