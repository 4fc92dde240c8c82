"""One network of a replication: trained by its arm, and measured in every row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet
from nversion.attacks import create as create_attack
from nversion.certification import certify
from nversion.datasets.shared import SharedDataset
from nversion.errors import TrainingError
from nversion.evaluation.frequency import adversarial_frequency
from nversion.files import read_tensor, write_json, write_tensors
from nversion.models import evaluate, frozen
from nversion.program import Outputs, Program, vote_outputs
from nversion.randomness import derive_seed, generator
from nversion.replication.arms import Arm
from nversion.replication.settings import Settings
from nversion.replication.teacher import Teacher
from nversion.versions import Version, train

__all__ = ["Material", "ask_version", "drawn_versions", "measure_network"]


@dataclasses.dataclass(frozen=True)
class Material:
    """What networks learn from and are measured on.

    Attributes:
        shared: the dataset.
        teachers: the versions that teach.
        outputs: files of their softmax outputs on the training images, in the same order.
        adversarial: folder of the adversarial set; None where there is none.
    """

    shared: SharedDataset
    teachers: tuple[Teacher, ...]
    outputs: tuple[Path, ...]
    adversarial: Path | None = None


def drawn_versions(seed: int, repeat: int, count: int) -> list[int]:
    """Return which of `count` versions teach in one pair: so many, drawn with replacement."""
    draws = generator(seed, "teacher", repeat)
    return torch.randint(count, (count,), generator=draws).tolist()


def ask_version(
    shared: SharedDataset, teacher: Teacher, path: Path, facts: Mapping[str, str]
) -> None:
    """Write a version's softmax outputs on the training images, with `facts` beside them."""
    model = teacher.load().model
    with frozen(model):
        logits = evaluate(model, shared.open().train.images, name=teacher.name)
    outputs = Outputs.from_logits([logits]).probabilities[0]
    write_tensors(path, {"probabilities": outputs}, dict(facts))


def measure_network(
    settings: Settings, arm: Arm, repeat: int, material: Material, digest: str, path: Path
) -> dict[str, Any]:
    """Train and measure one network, and write what came of it; return that.

    A network that does not learn is written down as such; it is no failure of the replication.
    """
    facts: dict[str, Any] = {"arm": arm.name, "repeat": repeat, "digest": digest}
    try:
        version = _trained(settings, arm, repeat, material)
    except TrainingError as error:
        facts["error"] = str(error)
    else:
        facts["rows"] = _measured(settings, version, material)
        facts["loss"] = version.record.loss
    write_json(path, facts)
    return facts


def _trained(settings: Settings, arm: Arm, repeat: int, material: Material) -> Version:
    drawn = drawn_versions(settings.seed, repeat, len(material.teachers))
    targets = None
    teacher = None
    if arm.source == "one":
        targets = read_tensor(material.outputs[drawn[0]], "probabilities")
    elif arm.source == "vote":
        targets = _vote([material.outputs[index] for index in drawn], settings.voter)
    if arm.objective == "oracle":
        teacher = _program([material.teachers[index] for index in drawn], settings.voter)
    return train(
        settings.architecture,
        material.shared.open(),
        settings.recipe.with_objective(arm.objective, **arm.options),
        settings.pair_seed(repeat),
        name=arm.name,
        targets=targets,
        teacher=teacher,
        precision=settings.precision,
    )


def _vote(files: Sequence[Path], voter: str) -> Tensor:
    outputs = torch.stack([read_tensor(file, "probabilities") for file in files])
    parts = torch.split(outputs, 2_000, dim=1)
    return torch.cat([vote_outputs(part, voter).probabilities for part in parts])


def _program(drawn: Sequence[Teacher], voter: str) -> Callable[[Tensor], Tensor]:
    """Return what gives the vote's probabilities on any images."""
    program = Program([teacher.load().model for teacher in drawn], voter)

    def ask(images: Tensor) -> Tensor:
        return program.vote(images).probabilities

    return ask


def _measured(settings: Settings, version: Version, material: Material) -> dict[str, float]:
    """Return every row of one network."""
    data = material.shared.open()
    model, rows = version.model, {"test_accuracy": version.record.test_accuracy}
    draws = generator(settings.seed, "replication", "images")
    order = torch.randperm(len(data.test.labels), generator=draws)
    for domain, box, count in (
        ("", None, settings.radius_images),
        ("_box", (0.0, 1.0), settings.box_images),
    ):
        chosen = order[:count]
        if len(chosen):
            images, labels = data.test.images[chosen], data.test.labels[chosen]
            for norm in (1, 2):
                radius = _mean_radius(version, images, labels, norm, box)
                rows[f"certified_l{norm}{domain}"] = radius
    if material.adversarial is not None:
        adversarial = AdversarialSet.load(material.adversarial)
        with frozen(model):
            predicted = evaluate(model, adversarial.images).argmax(dim=1)
        rows["adversarial_accuracy"] = float((predicted == adversarial.labels).double().mean())
    chosen = order[: settings.attack_images]
    if len(chosen) and settings.attacks:
        seed = derive_seed(settings.seed, "replication", "attacks")
        images, labels = data.test.images[chosen], data.test.labels[chosen]
        results = [
            create_attack(name)(model, images, labels, seed=seed) for name in settings.attacks
        ]
        share = adversarial_frequency(results).share
        if share is not None:
            rows["adversarial_frequency"] = share
    return rows


def _mean_radius(
    version: Version,
    images: Tensor,
    labels: Tensor,
    norm: int,
    box: tuple[float, float] | None,
) -> float:
    radii = certify(version.model, images, labels, norm, box=box).double()
    # A radius that is infinite (nothing at all changes the class) has no mean; it counts as the
    # furthest that a change in [0, 1] can be.
    pixels = float(images[0].numel())
    return float(radii.clamp_max(pixels if norm == 1 else pixels**0.5).mean())
