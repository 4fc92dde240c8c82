"""Faulty versions cost their own voice alone, image by image, and the verdict says why."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError
from nversion.program import Fault, KOfN, Program, create_voter, vote_outputs, voter_names
from nversion.program.asking import Answer, ask, gather, read
from nversion.program.faults import constant_faults
from nversion.program.injection import INJECTIONS, PROCESS_KINDS, inject
from nversion.program.verdict import vote

CLASSES, COUNT = 4, 24
IMAGES = torch.rand(COUNT, 1, 3, 3, generator=torch.Generator().manual_seed(5))
KINDS = [kind for kind in INJECTIONS if kind not in PROCESS_KINDS]


def network(seed: int) -> nn.Module:
    """One linear map, varied: such versions agree on most images."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES))
    shared = torch.randn(CLASSES, 9, generator=torch.Generator().manual_seed(0)) * 3
    own = torch.randn(CLASSES, 9, generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        model[1].weight.copy_(shared + own)
        model[1].bias.zero_()
    return model.eval()


POOL = [network(seed) for seed in range(12)]


@functools.cache
def answer(version: int, kind: str | None, place: int) -> Answer:
    """What a version of the pool says at some place in a program, with a fault or without."""
    model = POOL[version] if kind is None else inject(POOL[version], kind, seed=version, flips=40)
    return ask(read(model, (1, 3, 3)), IMAGES, 64, place)


class Liar:
    """An answer that is any class, image by image, and very sure."""

    @staticmethod
    def says(seed: int) -> Answer:
        draws = torch.Generator().manual_seed(seed)
        named = torch.randint(CLASSES, (COUNT,), generator=draws)
        return Answer(50.0 * torch.nn.functional.one_hot(named, CLASSES).float())


@pytest.mark.parametrize("voter", ["plurality", "majority", "consensus", KOfN(4), KOfN(3)], ids=str)
def test_one_faulty_version_of_five_never_changes_what_four_agree_on(voter: object) -> None:
    """A thousand seeded trials: any five of the pool, any of them faulty in any way."""
    chosen = create_voter(voter)  # type: ignore[arg-type]
    decided = 0
    for seed in range(1000):
        draws = torch.Generator().manual_seed(seed)
        versions = torch.randperm(len(POOL), generator=draws)[:5].tolist()
        faulty = int(torch.randint(5, (1,), generator=draws))
        kind = [*KINDS, "liar"][seed % (len(KINDS) + 1)]
        answers = [answer(v, None, place) for place, v in enumerate(versions)]
        answers[faulty] = (
            Liar.says(seed) if kind == "liar" else answer(versions[faulty], kind, faulty)
        )
        asked = gather(answers, COUNT)
        verdict = vote(asked.outputs, chosen, None, faults=asked.faults)
        others = [place for place in range(5) if place != faulty]
        honest = torch.stack([answers[place].logits.argmax(dim=1) for place in others])  # type: ignore[union-attr]
        agreed = (honest == honest[0]).all(dim=0)
        assert torch.equal(verdict.labels[agreed], honest[0][agreed]), (seed, kind)
        assert [fault.version for fault in verdict.faults] in ([], [faulty])
        decided += int(agreed.sum())
    assert decided > 8000


def members(seed: int, versions: int = 5, count: int = 40) -> Tensor:
    drawn = torch.randn(versions, count, 3, generator=torch.Generator().manual_seed(seed)) * 2
    return drawn.softmax(dim=2)


def lied(outputs: Tensor, place: int, seed: int) -> Tensor:
    named = torch.randint(3, (outputs.shape[1],), generator=torch.Generator().manual_seed(seed))
    changed = outputs.clone()
    changed[place] = torch.nn.functional.one_hot(named, 3).float()
    return changed


def lead(scores: Tensor) -> Tensor:
    top = scores.double().topk(2, dim=1).values
    return top[:, 0] - top[:, 1]


@pytest.mark.parametrize("name", ["mean-softmax", "borda"])
def test_sums_keep_their_verdict_where_the_lead_is_large_enough(name: str) -> None:
    """Of mean probabilities more than 2 / n; of points 2 (classes - 1), here 2 of 15 in shares."""
    kept = 0
    for seed in range(60):
        outputs = members(seed)
        before, after = (
            vote_outputs(outputs, name),
            vote_outputs(lied(outputs, seed % 5, seed), name),
        )
        enough = lead(before.probabilities) > (0.4 if name == "mean-softmax" else 4 / 15) + 1e-6
        kept += int(enough.sum())
        assert torch.equal(before.labels[enough], after.labels[enough])
    assert kept > 100


@pytest.mark.parametrize("name", ["median-softmax", "trimmed-mean"])
def test_order_statistics_stay_within_what_the_others_say(name: str) -> None:
    kept = 0
    for seed in range(60):
        outputs, liar = members(seed), seed % 5
        honest = torch.cat([outputs[:liar], outputs[liar + 1 :]])
        low, high = honest.amin(dim=0), honest.amax(dim=0)
        best = low.argmax(dim=1)
        rest = high.scatter(1, best[:, None], -1.0).amax(dim=1)
        sure = low.gather(1, best[:, None]).squeeze(1) > rest + 1e-6
        kept += int(sure.sum())
        verdict = vote_outputs(lied(outputs, liar, seed), name)
        assert torch.equal(verdict.labels[sure], best[sure])
    assert kept > 5


@pytest.mark.parametrize("name", ["mean-logits", "maximum-confidence", "mean-softmax"])
def test_one_confident_liar_turns_what_four_doubt(name: str) -> None:
    four = torch.tensor([0.34, 0.33, 0.33]).expand(4, 1, 3)
    assert vote_outputs(four[:1], name).labels.tolist() == [0]
    outputs = torch.cat([four, torch.tensor([[[0.0, 1.0, 0.0]]])])
    assert vote_outputs(outputs, name).labels.tolist() == [1]


def test_every_voter_says_what_it_promises() -> None:
    assert [name for name in voter_names() if create_voter(name).bound == "none is known"] == []


class OnDark(nn.Module):
    """A version that fails, somehow, where an image's first pixel is dark."""

    def __init__(self, model: nn.Module, how: str) -> None:
        super().__init__()
        self.model, self.how = model, how

    def forward(self, images: Tensor) -> Tensor:
        dark = images[:, 0, 0, 0] < 0.5
        logits: Tensor = self.model(images)
        if self.how == "raises" and bool(dark.any()):
            raise ValueError("too dark to see")
        if self.how == "shape" and bool(dark.any()):
            return logits[:, 0]
        if self.how == "nan":
            return logits.masked_fill(dark[:, None], torch.nan)
        return logits.masked_fill(dark[:, None], torch.inf) if self.how == "infinite" else logits


@pytest.mark.parametrize("how", ["raises", "shape", "nan", "infinite"])
def test_a_fault_on_some_images_costs_the_voice_on_these_alone(how: str) -> None:
    dark = IMAGES[:, 0, 0, 0] < 0.5
    models = [*POOL[:4], OnDark(POOL[4], how).eval()]
    program = Program(models, "plurality")
    verdict = program.vote(IMAGES)
    (fault,) = verdict.faults
    assert (fault.version, fault.kind) == (4, how)
    assert torch.equal(fault.images, dark)
    assert f"on {int(dark.sum())} of {COUNT} images" in str(fault)
    assert torch.equal(verdict.predictions[4] == -1, dark)
    four, five = Program(POOL[:4], "plurality").vote(IMAGES), Program(POOL[:5], "plurality")
    assert torch.equal(verdict.labels[dark], four.labels[dark])
    assert torch.equal(verdict.labels[~dark], five.vote(IMAGES).labels[~dark])
    # The same image alone, in pairs, and in another order.
    for rows in (torch.arange(COUNT).flip(0), torch.tensor([3]), torch.tensor([7, 2])):
        part = program.vote(IMAGES[rows])
        assert torch.equal(part.labels, verdict.labels[rows])
        assert torch.equal(part.probabilities, verdict.probabilities[rows])
        assert torch.equal(part.predictions, verdict.predictions[:, rows])


@pytest.mark.parametrize("name", voter_names())
def test_a_vote_without_a_version_is_the_vote_of_the_others(name: str) -> None:
    faulty = [*POOL[:4], inject(POOL[4], "nan")]
    verdict, others = Program(faulty, name).vote(IMAGES), Program(POOL[:4], name).vote(IMAGES)
    if name in ("majority", "k-of-n"):  # more than half of all five are three of the four, as well
        assert torch.equal(verdict.labels, others.labels)
    else:
        assert torch.equal(verdict.probabilities, others.probabilities)
        assert torch.equal(verdict.labels, others.labels)
    torch.testing.assert_close(verdict.agreement, others.agreement * 0.8)


def test_a_weighted_vote_goes_on_with_the_others_weights() -> None:
    faulty = [*POOL[:4], inject(POOL[4], "raise")]
    weights = [1.0, 2.0, 0.5, 1.0, 2.0]
    for name in ("mean-softmax", "mean-logits", "plurality", "borda"):
        verdict = Program(faulty, name, weights).vote(IMAGES)
        others = Program(POOL[:4], name, weights[:4]).vote(IMAGES)
        assert torch.equal(verdict.labels, others.labels)


def test_a_missing_vote_counts_against_a_majority() -> None:
    outputs = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 2, 2]), 3).float()[:, None]
    logits = [Answer((one + 1e-3).log()) for one in outputs]
    silent = [Answer.missing(place, "raises", "raises", 1) for place in (3, 4)]
    asked = gather([*logits[:3], *silent], 1)
    for voter, label in (("majority", -1), ("plurality", 0), ("consensus", 0), (KOfN(2), 0)):
        assert vote(asked.outputs, create_voter(voter), None).labels.tolist() == [label]


def test_below_the_quorum_the_program_abstains() -> None:
    models = [*POOL[:2], *(inject(model, "nan") for model in POOL[2:5])]
    verdict = Program(models).vote(IMAGES)
    assert bool((verdict.labels == -1).all())
    assert not bool(verdict.withheld.any())
    assert verdict.rules.quorum == 3
    assert len(verdict.faults) == 3
    lower = Program(models, quorum=2).vote(IMAGES)
    assert torch.equal(lower.labels, Program(POOL[:2]).vote(IMAGES).labels)
    for wrong in (0, 6, 2.5):
        with pytest.raises(InputError, match="quorum must be a number of versions, 1 to 5"):
            Program(models, quorum=wrong)  # type: ignore[arg-type]


def test_where_nobody_answers_it_is_said_what_each_does() -> None:
    program = Program([inject(model, "raise") for model in POOL[:2]])
    with pytest.raises(InputError, match=r"no version answers: models\[0\] raises .*models\[1\]"):
        program.vote(IMAGES)


@pytest.mark.parametrize("kind", ["constant", "stuck"])
def test_a_constant_version_is_found_on_probes_and_stays_out(kind: str) -> None:
    models = [*POOL[:4], inject(POOL[4], kind, seed=1)]
    program = Program(models, "plurality")
    assert program.vote(IMAGES).faults == ()
    (found,) = program.screen(IMAGES)
    assert (found.version, found.kind) == (4, "constant")
    verdict = program.vote(IMAGES)
    assert torch.equal(verdict.labels, Program(POOL[:4], "plurality").vote(IMAGES).labels)
    # Whatever else it is asked about: an image alone is decided as in any batch.
    assert torch.equal(program.vote(IMAGES[3:4]).labels, verdict.labels[3:4])
    assert [fault.kind for fault in verdict.faults] == ["constant"]
    healthy = Program(POOL[:5])
    assert healthy.screen(IMAGES) == ()


def test_probes_that_tell_nothing_are_refused() -> None:
    same = Program(POOL[:3])
    with pytest.raises(InputError, match="take probes of several classes"):
        same.screen(IMAGES[:1].expand(4, -1, -1, -1))
    with pytest.raises(InputError, match="two probe images or more"):
        constant_faults(torch.zeros(3, 1, dtype=torch.int64))
    with pytest.raises(InputError, match="all of one class"):
        constant_faults(torch.zeros(3, 4, dtype=torch.int64), torch.ones(4, dtype=torch.int64))


@pytest.mark.parametrize("constant", [1, 2, 3, 4])
def test_however_many_versions_are_constant_none_decides_where_probes_have_labels(
    constant: int,
) -> None:
    models = [inject(model, "constant", seed=3) for model in POOL[:constant]]
    program = Program([*models, *POOL[constant:5]], "plurality")
    labels = torch.arange(len(IMAGES)) % 3
    assert [fault.version for fault in program.screen(IMAGES, labels)] == [*range(constant)]
    verdict = program.vote(IMAGES)
    if constant <= 2:
        left = Program(POOL[constant:5], "plurality").vote(IMAGES)
        assert torch.equal(verdict.labels, left.labels)
    else:  # below the quorum
        assert bool((verdict.labels == -1).all())


@pytest.mark.parametrize("kind", ["raise", "nan", "infinite", "shape"])
def test_the_gradient_path_names_the_version_and_the_vote_survives(kind: str) -> None:
    program = Program([*POOL[:4], inject(POOL[4], kind)]).eval()
    labels = program.vote(IMAGES).labels
    assert torch.equal(labels, Program(POOL[:4]).vote(IMAGES).labels)
    said = r"models\[4\]"
    for ask_for in (
        lambda: program(IMAGES),
        lambda: program.outputs(IMAGES),
        lambda: nv.certify(program, IMAGES, labels, 2),
        lambda: nv.attacks.create("gradient")(program, IMAGES, labels),
    ):
        with pytest.raises(InputError, match=said):
            ask_for()


def test_a_screened_version_is_not_certified_with_the_others() -> None:
    program = Program([*POOL[:4], inject(POOL[4], "stuck")])
    program.screen(IMAGES)
    with pytest.raises(InputError, match="only where all versions have a voice"):
        nv.certify(program, IMAGES, torch.zeros(COUNT, dtype=torch.int64), 2)


def test_faulty_versions_are_handed_back_as_they_came() -> None:
    models = [copy.deepcopy(POOL[0]).train(), inject(copy.deepcopy(POOL[1]), "raise").train()]
    Program([*models, POOL[2]]).vote(IMAGES)
    assert all(module.training for model in models for module in model.modules())
    assert all(weights.requires_grad for model in models for weights in model.parameters())


def test_faults_read_well() -> None:
    everywhere, somewhere = torch.ones(4, dtype=torch.bool), torch.arange(4) < 1
    assert str(Fault(2, "nan", "gives NaN", everywhere)) == "models[2] gives NaN"
    assert str(Fault(2, "nan", "gives NaN", somewhere)) == "models[2] gives NaN on 1 of 4 images"
