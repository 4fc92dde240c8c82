from __future__ import annotations

import pytest
import torch

import nversion as nv
from nversion.errors import InputError
from nversion.objectives import Batch
from nversion.objectives.together import (
    JointObjective,
    create_joint_objective,
    joint_objective_names,
)
from nversion.versions import disjoint, load_recipe, train_together

RECIPE = load_recipe("small").model_copy(update={"epochs": 4})


@pytest.fixture(scope="module")
def digits() -> nv.Dataset:
    return nv.load_dataset("digits")


def architectures(count: int = 2) -> list[nv.Architecture]:
    return [
        nv.Architecture.parse(f"dense, {16 + index}, relu", name=f"v{index}")
        for index in range(count)
    ]


def cosine(versions: list[nv.Version], data: nv.Dataset) -> float:
    """Return the mean cosine of two versions' gradients on test images."""
    units = []
    for version in versions:
        images = data.test.images[:100].clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(
            version.model(images), data.test.labels[:100], reduction="sum"
        )
        (gradient,) = torch.autograd.grad(loss, images)
        units.append(torch.nn.functional.normalize(gradient.flatten(1), dim=1))
    return float((units[0] * units[1]).sum(dim=1).mean())


@pytest.mark.parametrize("name", joint_objective_names())
def test_versions_that_train_together_learn_and_repeat_their_bits(
    name: str, digits: nv.Dataset
) -> None:
    objective = create_joint_objective(name)
    first, second = (
        train_together(architectures(), digits, objective, RECIPE, seed=2) for _ in range(2)
    )
    for ours, theirs in zip(first, second, strict=True):
        assert ours.record.test_accuracy > 0.5
        for key, value in ours.model.state_dict().items():
            assert torch.equal(value, theirs.model.state_dict()[key])
    assert first[0].record.recipe["name"].endswith(f"{name} with 2 networks")


def test_a_penalty_turns_gradients_apart(digits: nv.Dataset) -> None:
    alone, apart = (
        train_together(
            architectures(),
            digits,
            create_joint_objective("gradient-cosine", weight=weight),
            RECIPE,
        )
        for weight in (0.0, 1.0)
    )
    assert cosine(apart, digits) < cosine(alone, digits) - 0.1


def test_adp_is_what_its_formula_says(digits: nv.Dataset) -> None:
    images, labels = digits.train.images[:5], digits.train.labels[:5]
    batches = []
    for seed in range(2):
        model = architectures()[seed].build(digits.shape, digits.classes, seed=seed).train()
        batches.append(Batch(model, images, labels, labels, torch.Generator()))
    outputs = [batch.logits().softmax(dim=1) for batch in batches]
    mean = (outputs[0] + outputs[1]) / 2
    expected = torch.zeros(())
    for row, label in enumerate(labels.tolist()):
        for one in outputs:
            expected = expected - one[row, label].log() / 2
        expected = expected + 2.0 * (mean[row] * mean[row].log()).sum()
        wrong = [torch.cat([one[row, :label], one[row, label + 1 :]]) for one in outputs]
        matrix = torch.stack([one / one.norm() for one in wrong])
        expected = expected - 0.5 * torch.linalg.det(matrix @ matrix.T).log()
    found = create_joint_objective("adp").step(batches)
    torch.testing.assert_close(found, expected / 5, rtol=1e-3, atol=1e-3)


def test_disjoint_data_shares_every_class_out(digits: nv.Dataset) -> None:
    parts = disjoint(digits, 3, seed=1)
    assert sum(len(part.train) for part in parts) == len(digits.train)
    counts = torch.stack([part.train.labels.bincount() for part in parts])
    assert int((counts.amax(dim=0) - counts.amin(dim=0)).max()) <= 1
    assert len({part.digest for part in parts}) == 3
    with pytest.raises(InputError, match="too few for 1000 parts"):
        disjoint(digits, 1000)
    with pytest.raises(InputError, match="at least 1"):
        disjoint(digits, 0)


def test_what_makes_no_sense_is_refused(digits: nv.Dataset) -> None:
    objective: JointObjective = create_joint_objective("adp")
    with pytest.raises(InputError, match="two at least"):
        train_together(architectures(1), digits, objective, RECIPE)
    with pytest.raises(InputError, match="0 or more"):
        create_joint_objective("gradient-cosine", weight=-1.0)
    with pytest.raises(InputError, match="steps must be"):
        create_joint_objective("trs", steps=0)
