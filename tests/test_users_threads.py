"""What users of other ensemble tools ran into, tried on programs and on stored outputs.

Each row is a public thread: where it was, what went wrong there, and a check that it does not here.
"""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nversion as nv
from nversion.errors import InputError
from nversion.formats import with_classes
from nversion.measures import as_answers
from nversion.program.campaigns.table_votes import count_stored_votes
from nversion.program.voters import create_voter
from nversion.reliability import plurality_growth
from nversion.selection import Accuracy, WhiteBox, fit_weights, gram, greedy
from nversion.tables import read_table

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 60)
SCORES = RANDOM.dirichlet(np.ones(4), (5, 60))
CLASSES = SCORES.argmax(axis=2)


def a_criterion() -> WhiteBox:
    margins = RANDOM.normal(1.0, 1.0, (5, 12, 4))
    return WhiteBox(margins, gram(RANDOM.normal(size=(5, 12, 4, 9))), LABELS[:12])


def weights_of_any_kind_are_taken_and_bad_ones_refused() -> None:
    criterion = a_criterion()
    given = [1.0, 2.0, 0.0, 1.0, 1.0]
    expected = criterion.weighted_score(given)
    assert criterion.weighted_score(np.array(given)) == expected
    assert criterion.weighted_score(torch.tensor(given)) == expected
    for bad in ([0.0] * 5, [-1.0, 1, 1, 1, 1], [float("nan"), 1, 1, 1, 1], [1.0] * 4):
        with pytest.raises(InputError, match="weights must be one for each of the 5 versions"):
            criterion.weighted_score(bad)
    # A version that is left out has weight 0, and the others keep theirs.
    assert (fit_weights(criterion, size=2, steps=5) > 0).sum() == 2


def no_class_is_favoured_by_ties() -> None:
    for one in range(4):
        for other in range(4):
            if one != other:
                votes = np.array([[one], [one], [other], [other]])
                assert Accuracy(votes, [one]).score(range(4)) == 0.0
                assert plurality_growth(votes, [one]).right[3] == 0.0
                lowest = plurality_growth(votes, [one], ties="lowest").right[3]
                assert lowest == pytest.approx(float(one < other))


def vote_and_probability_agree() -> None:
    answers = as_answers(SCORES, LABELS)
    count = count_stored_votes("abcde", answers, create_voter("mean-softmax"), probabilities=True)
    verdict = count.verdict
    assert (verdict.probabilities.argmax(dim=1) == verdict.labels).all()
    assert count.accuracy == pytest.approx(Accuracy(SCORES, LABELS).score(range(5)))


def all_right_and_all_wrong_give_no_nan_in_json() -> None:
    for predictions in (np.stack([LABELS] * 3), np.stack([(LABELS + 1) % 4] * 3)):
        measures = nv.diversity(predictions, LABELS, resamples=10)
        failures = nv.coincident_failures(predictions != LABELS, LABELS)
        json.dumps([measures.to_json(), failures.to_json()], allow_nan=False)
        assert np.isnan(measures.mean("q"))


def which_versions_were_right_on_an_image_is_known() -> None:
    answers = as_answers(SCORES, LABELS)
    assert answers.predictions.tolist() == CLASSES.tolist()
    members = greedy(Accuracy(SCORES, LABELS), 3).members
    assert answers.wrong[list(members)].shape == (3, 60)


def votes_are_soft_or_counted_and_outputs_of_any_library() -> None:
    for outputs in (SCORES, SCORES.astype(np.float32), torch.from_numpy(SCORES), list(SCORES)):
        assert Accuracy(outputs, LABELS).score([0, 1]) == Accuracy(SCORES, LABELS).score([0, 1])
    assert Accuracy(SCORES, LABELS, "plurality").vote == "plurality"


def nothing_is_kept_between_two_calls() -> None:
    criterion = Accuracy(SCORES, LABELS)
    first = [criterion.score([0, 1, 2]), criterion.along(range(5)).tolist()]
    assert [criterion.score([0, 1, 2]), criterion.along(range(5)).tolist()] == first
    weights = a_criterion()
    assert fit_weights(weights, steps=5).tolist() == fit_weights(weights, steps=5).tolist()


def gradients_are_not_kept_and_memory_is_flat() -> None:
    outputs = torch.rand(30, 2000, 10, requires_grad=True)
    labels = torch.randint(0, 10, (2000,), generator=torch.Generator().manual_seed(0))
    tracemalloc.start()
    nv.diversity(outputs, labels, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outputs.grad is None
    assert peak < 60e6


def an_image_counts_the_same_alone_and_among_others() -> None:
    alone = [
        nv.coincident_failures(CLASSES[:, [n]] != LABELS[n]).histogram for n in range(len(LABELS))
    ]
    together = nv.coincident_failures(CLASSES != LABELS).histogram
    assert np.sum(alone, axis=0).tolist() == together.tolist()
    right = np.mean([plurality_growth(CLASSES[:, [n]], LABELS[[n]]).right for n in range(60)], 0)
    assert plurality_growth(CLASSES, LABELS).right == pytest.approx(right)


def abstentions_are_minus_one_and_counted_apart(folder: Path) -> None:
    predictions = CLASSES.copy()
    predictions[2, :7] = -1
    measures = nv.diversity(predictions, LABELS)
    assert measures.abstentions.tolist() == [0, 0, 7, 0, 0]
    np.savez(folder / "t.npz", labels=LABELS, predictions=predictions)
    assert read_table(folder / "t.npz").outputs.tolist() == predictions.tolist()
    # Nobody's vote is no vote for a class.
    only = np.array([[-1], [-1], [1]])
    assert plurality_growth(only, [1]).right == pytest.approx([1 / 3, 2 / 3, 1.0])
    with pytest.raises(InputError, match="labels must be at least 0"):
        nv.diversity(CLASSES, np.full(60, -1))


def of_several_distances_the_smallest_counts() -> None:
    margins = np.array([[[0.0, 3.0, 1.0, 2.0]]])
    gradients = np.ones((1, 1, 4, 1))
    assert WhiteBox(margins, gram(gradients), [0]).distances([1.0]).tolist() == [1.0]


class Gives(nn.Module):
    """A linear network whose output has some form."""

    def __init__(self, form: Callable[[torch.Tensor], object], classes: int = 3) -> None:
        super().__init__()
        self.layer, self.form = nn.Linear(16, classes), form

    def forward(self, images: torch.Tensor) -> object:
        return self.form(self.layer(images.flatten(1)))


def shown(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def attacked(models: Sequence[nn.Module], images: torch.Tensor) -> None:
    """Vote, attack the vote twice and by the hand of a user, and find the same."""
    program = nv.Program(models)
    labels = program.vote(images).labels
    first, second = (
        nv.attacks.create("deepfool")(program, images, labels, seed=0) for _ in range(2)
    )
    assert first.success.all()
    assert torch.equal(first.images, second.images)
    program.eval()
    leaf = images.clone().requires_grad_()
    nn.functional.nll_loss(program(leaf), labels).backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())


def versions_of_some_of_the_classes_vote_with_others() -> None:
    whole, part = Gives(lambda x: x, 4).eval(), Gives(lambda x: x, 3).eval()
    known = {field.name: None for field in dataclasses.fields(nv.Record)}
    told = {"name": "part", "classes": 3, "class_names": ("d", "a", "b")}
    record = nv.Record(**{**known, **told})  # type: ignore[arg-type]
    mapped = with_classes(nv.Version("part", None, part, record), ("a", "b", "c", "d"))
    images = shown(40)
    own = part(images).argmax(1)
    assert mapped.model(images).argmax(1).tolist() == [[3, 0, 1][n] for n in own.tolist()]
    attacked([whole, mapped.model], images[:3])


def outputs_of_every_shape_vote_alike() -> None:
    forms: list[Callable[[torch.Tensor], object]] = [
        lambda x: x,
        lambda x: x[:, :, None, None],
        lambda x: (x,),
        lambda x: {"features": x[:, :1], "logits": x},
        lambda x: {"logits": x, "features": x[:, :1]},
    ]
    models = [Gives(form).eval() for form in forms]
    for model in models:
        model.load_state_dict(models[0].state_dict())
    images = shown()
    expected = nv.Program(models[:1]).vote(images)
    verdict = nv.Program(models).vote(images)
    assert torch.equal(verdict.labels, expected.labels)
    assert bool((verdict.agreement == 1.0).all())
    attacked(models, images)


def one_logit_is_two_classes() -> None:
    flat, column = Gives(lambda x: x[:, 0], 1).eval(), Gives(lambda x: x, 1).eval()
    column.load_state_dict(flat.state_dict())
    models = [nv.as_logits(one, "logit") for one in (flat, column)]
    images = shown(40) * 2.0 - 0.5
    images = images.clamp(0.0, 1.0)
    signs = (column.layer(images.flatten(1))[:, 0] > 0).long()
    assert torch.equal(nv.Program(models).vote(images).labels, signs)


def labels_are_names_or_numbers_of_any_kind() -> None:
    split = nv.as_split(shown(4).numpy(), ["cat", "ant", "cat", "bee"], ("ant", "bee", "cat"))
    assert split.labels.tolist() == [2, 0, 2, 1]
    for dtype in (np.int8, np.int32, np.uint8):
        assert nv.as_labels(np.array([0, 3, 1], dtype=dtype)).dtype == torch.int64
    model = Gives(lambda x: x).eval()
    summed = nv.Program([model]).vote(split.images).summary(split.labels)
    assert "4 images" in summed


def trained_versions_are_taken_as_they_are_whatever_they_are_made_of() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean = torch.tensor([0.3, -0.2])
    one = nn.Sequential(nn.Conv2d(1, 2, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    images = shown()
    program = nv.Program([one.train(), other])
    together = program.vote(images)
    alone = [program.vote(images[[n]]).probabilities for n in range(len(images))]
    assert torch.equal(together.probabilities, torch.cat(alone))
    assert one.training
    inside = nn.Sequential(program, nn.Identity()).eval()
    assert torch.equal(inside(images).argmax(1), together.labels)
    one.train()
    attacked([one, other], images)
    assert torch.equal(norm.running_mean, torch.tensor([0.3, -0.2]))


def versions_of_half_precision_vote_and_are_attacked() -> None:
    torch.manual_seed(0)
    models = [Gives(lambda x: x).eval() for _ in range(3)]
    models[1].half()
    models[2].bfloat16()
    attacked(models, shown())


def versions_on_other_devices_vote() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no graphics card")
    models = [Gives(lambda x: x).eval(), Gives(lambda x: x).eval().cuda()]
    labels = nv.Program(models).vote(shown()).labels
    assert torch.equal(labels, nv.Program([one.cpu() for one in models]).vote(shown()).labels)


def votes_of_two_and_three_classes_are_attacked_down_to_one_image() -> None:
    for classes in (2, 3):
        torch.manual_seed(classes)
        program = nv.Program([Gives(lambda x: x, classes).eval() for _ in range(3)])
        for count in (1, 3):
            images = shown(count)
            labels = program.vote(images).labels
            for name in ("apgd", "apgd-targeted", "fab", "deepfool"):
                try:
                    found = nv.attacks.create(name)(program, images, labels)
                except InputError as error:
                    assert "class" in str(error), name  # noqa: PT017
                else:
                    assert bool(found.images.isfinite().all()), name
                    left = program.vote(found.images).labels == labels
                    assert torch.equal(left, ~found.success), name


ROWS: dict[str, tuple[str, Callable[..., None]]] = {
    "1": (
        "scikit-learn 8566: members saw other classes",
        versions_of_some_of_the_classes_vote_with_others,
    ),
    "2, 11, 12": (
        "scikit-learn 28935, torch-uncertainty 292, torchattacks 201: shapes and keys",
        outputs_of_every_shape_vote_alike,
    ),
    "3, 7": (
        "scikit-learn 12189, mlxtend 321: encoded labels, names of classes",
        labels_are_names_or_numbers_of_any_kind,
    ),
    "4, 18, 20": (
        "scikit-learn 7382, cleverhans 1098, pytorch 88850: given members of any make",
        trained_versions_are_taken_as_they_are_whatever_they_are_made_of,
    ),
    "13": ("ART 306, Foolbox 360: one logit", one_logit_is_two_classes),
    "14": (
        "ART 2399, torchattacks 152: few classes, one image that is left",
        votes_of_two_and_three_classes_are_attacked_down_to_one_image,
    ),
    "16": ("Ensemble-PyTorch 137: several devices", versions_on_other_devices_vote),
    "23": ("secml-torch 198: precisions", versions_of_half_precision_vote_and_are_attacked),
    "5": (
        "scikit-learn 7983, 13779: weights as arrays are ambiguous; dropped members",
        weights_of_any_kind_are_taken_and_bad_ones_refused,
    ),
    "6": ("scikit-learn 26398, crowd-kit 108: ties favour a class", no_class_is_favoured_by_ties),
    "8": ("DESlib 261: the probability is not the vote's", vote_and_probability_agree),
    "9": ("DESlib 198: NaN from 0/0", all_right_and_all_wrong_give_no_nan_in_json),
    "10": (
        "DESlib 130: who voted how is not returned",
        which_versions_were_right_on_an_image_is_known,
    ),
    "15": (
        "Ensemble-PyTorch 118: only two ways to vote",
        votes_are_soft_or_counted_and_outputs_of_any_library,
    ),
    "17": ("advertorch 17: a running sum is kept", nothing_is_kept_between_two_calls),
    "19": ("PyMatch 23: gradients are kept", gradients_are_not_kept_and_memory_is_flat),
    "21": ("TRADES 3: results by batch", an_image_counts_the_same_alone_and_among_others),
    "22": (
        "torchmetrics 1393, 1691: -1 rejected, or scored as wrong",
        abstentions_are_minus_one_and_counted_apart,
    ),
    "24": (
        "auto-attack 85: which of several results counts",
        of_several_distances_the_smallest_counts,
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_others_ran_into(row: str, tmp_path: Path) -> None:
    _, check = ROWS[row]
    check(*([tmp_path] if check is abstentions_are_minus_one_and_counted_apart else []))
