"""Measure baseline and student: their accuracies, and how often attacks succeed on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from nversion.adversarial import AdversarialSet, AttackRun
from nversion.evaluation import adversarial_frequency, rank
from nversion.files import read_object
from nversion.study.context import Study
from nversion.study.sections import Certification, Comparison, Distillation, Network
from nversion.study.stages.attacking import attack_networks
from nversion.study.stages.comparing import compare_frequencies
from nversion.study.stages.voting import evaluate_on_set
from nversion.study.units.base import MadeFrom
from nversion.study.units.evaluating import EvaluateOnSet
from nversion.study.units.stored import StoredOutputs
from nversion.study.units.trained import TrainedVersion

__all__ = ["Evaluated", "distillation_section", "evaluate_networks"]


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What was measured on baseline and student.

    Attributes:
        outputs: what both answer.
        networks: the numbers of each, by role.
        frequency: how their adversarial frequencies differ; None if there is none.
    """

    outputs: tuple[StoredOutputs, ...]
    networks: dict[str, Network]
    frequency: Comparison | None


def evaluate_networks(
    study: Study, networks: Mapping[str, TrainedVersion], adversarial: AdversarialSet
) -> Evaluated:
    """Evaluate baseline and student on the adversarial set, attack them, and count."""
    units = [
        EvaluateOnSet(
            name=f"evaluation/{role}",
            network=network,
            adversarial=MadeFrom(study.folder.adversarial, adversarial.digest),
            device=study.device,
            path=study.folder.network_outputs(role),
        )
        for role, network in networks.items()
    ]
    outputs = evaluate_on_set(study, "evaluating baseline and student", units)
    runs = attack_networks(study, networks)
    measured = {
        one.name: _measured(one, networks[one.name], runs[one.name], adversarial) for one in outputs
    }
    return Evaluated(outputs, measured, compare_frequencies(runs, study.seed))


def _measured(
    outputs: StoredOutputs,
    network: TrainedVersion,
    runs: list[AttackRun],
    adversarial: AdversarialSet,
) -> Network:
    right = outputs.right_on_set(adversarial.labels).double()
    record = read_object(network.folder / "record.json")
    frequency = adversarial_frequency(runs)
    return Network(
        train_accuracy=record["train_accuracy"],
        test_accuracy=record["test_accuracy"],
        adversarial_accuracy=float(right.mean()) if len(right) else None,
        adversarial_frequency=frequency.share,
        adversarial_frequency_low=frequency.low,
        adversarial_frequency_high=frequency.high,
        attack_runs=frequency.tried,
        attacked_images=frequency.images,
        attacks={run.attack: adversarial_frequency([run]).share for run in runs},
        seconds=record["seconds"],
    )


def distillation_section(
    study: Study,
    measured: Mapping[str, Network],
    certification: Certification,
    accuracies: Mapping[str, Mapping[str, float | None]],
) -> Distillation:
    """Return the key "distillation" of the results, but for the rows of its comparison.

    Args:
        study: that runs.
        measured: on baseline and student, by role.
        certification: their radii.
        accuracies: of the versions by name, among which the student has its place.
    """
    networks = _with_certificates(measured, certification)
    others = [row["adversarial_accuracy"] for row in accuracies.values()]
    accuracy = networks["student"].adversarial_accuracy
    known = [other for other in others if other is not None]
    place = None if accuracy is None else rank(accuracy, known)
    return Distillation(
        architecture=(study.folder.network("student") / "architecture.txt").read_text("utf-8"),
        recipe=study.network_recipes["student"].name,
        objective=study.config.distillation.objective,
        baseline=networks["baseline"],
        student=networks["student"],
        student_rank=place.rank if place else None,
        student_rank_tied=place.tied if place else None,
        rank_of=len(known) + 1,
    )


def _with_certificates(
    measured: Mapping[str, Network], certification: Certification
) -> dict[str, Network]:
    """Return both with mean radii in the plain ball, or where only the box is there, in the box."""
    norms = certification.norms or certification.norms_box
    found = {}
    for role, network in measured.items():
        radii = {norm: getattr(pair, role).mean for norm, pair in norms.items()}
        means = {f"certified_l{norm}": radii.get(norm) for norm in ("1", "2")}
        means |= {"certified_linf": radii["inf"]} if "inf" in radii else {}
        found[role] = network.model_copy(update=means)
    return found
