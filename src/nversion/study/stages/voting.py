"""Let the versions vote: on the test images and on the adversarial set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nversion.adversarial import AdversarialSet, transfer_matrix
from nversion.files import sha256_of_file
from nversion.randomness import derive_seed
from nversion.study.context import Study
from nversion.study.sections import Program, TransferMatrix
from nversion.study.units.base import MadeFrom
from nversion.study.units.evaluating import EvaluateOnSet
from nversion.study.units.stored import StoredOutputs, read_outputs
from nversion.study.units.trained import TrainedVersion
from nversion.study.units.voting import Vote

__all__ = ["Voted", "evaluate_on_set", "measure_program", "measure_transfer"]


@dataclasses.dataclass(frozen=True)
class Voted:
    """What the versions answer, and what their vote makes of it.

    Attributes:
        outputs: the versions' answers, in the study's order.
        verdicts: the program's labels of the adversarial set and the test images ("adversarial"
            and "test").
        program: what program and versions get right.
    """

    outputs: tuple[StoredOutputs, ...]
    verdicts: MadeFrom
    program: Program


def measure_program(
    study: Study, versions: Sequence[TrainedVersion], adversarial: AdversarialSet
) -> Voted:
    """Evaluate the versions on the adversarial set, and count what the program gets right."""
    units = [
        EvaluateOnSet(
            name=f"program/outputs/{version.name}",
            network=version,
            adversarial=MadeFrom(study.folder.adversarial, adversarial.digest),
            device=study.device,
            path=study.folder.outputs(version.name),
        )
        for version in versions
    ]
    outputs = evaluate_on_set(study, "evaluating versions", units)
    vote = Vote(
        name="program/summary",
        labels=adversarial.labels.numpy(),
        test_labels=study.data.test.labels.numpy(),
        data=study.data.digest,
        versions=outputs,
        voter=study.config.program.voter,
        orders=study.config.program.orders,
        seed=derive_seed(study.seed, "orders"),
        path=study.folder.program_summary,
        verdicts=study.folder.verdicts,
    )
    entry = study.units.require("voting", [vote])[vote.name]
    return Voted(outputs, study.output(entry, vote.verdicts), Program.read(vote.path))


def evaluate_on_set(
    study: Study, description: str, units: Sequence[EvaluateOnSet]
) -> tuple[StoredOutputs, ...]:
    """Return what networks answer, once their units have run.

    Raises:
        NVersionError: one failed.
    """
    entries = study.units.require(description, units)
    return tuple(
        StoredOutputs(
            unit.network.name,
            study.output(entries[unit.name], unit.path),
            MadeFrom(unit.network.test_logits, sha256_of_file(unit.network.test_logits)),
        )
        for unit in units
    )


def measure_transfer(
    outputs: Sequence[StoredOutputs], adversarial: AdversarialSet
) -> tuple[dict[str, dict[str, float | None]], TransferMatrix]:
    """Return each version's accuracies on the set, and each version's on each other one's."""
    names = [one.name for one in outputs]
    predictions = (read_outputs(one.on_set.path).argmax(dim=1) for one in outputs)
    transfer = transfer_matrix(predictions, names, adversarial)
    accuracies = {
        name: {
            "adversarial_accuracy": _number(transfer.overall[index]),
            "adversarial_accuracy_own": _number(transfer.own[index]),
            "adversarial_accuracy_others": _number(transfer.others[index]),
        }
        for index, name in enumerate(names)
    }
    return accuracies, TransferMatrix.model_validate(transfer.to_json())


def _number(value: float) -> float | None:
    return float(value) if value == value else None
