"""Metrics of what networks get right: on test images, on the adversarial set, and under attack."""

from __future__ import annotations

from collections.abc import Iterator

from nversion.adversarial.intervals import wilson_of_share
from nversion.evidence.keys import quoted
from nversion.evidence.record import Interval, Metric, ThreatModel
from nversion.evidence.threats import TRANSFERRED, norm_of, on_versions, within
from nversion.study.finished import FinishedStudy
from nversion.study.sections import AttackRow, Results

__all__ = ["BOOTSTRAP", "WILSON", "accuracy_metrics"]

WILSON = "Wilson's score, one try for each test image"
BOOTSTRAP = "percentiles of a bootstrap that draws whole test images"


def accuracy_metrics(study: FinishedStudy) -> Iterator[tuple[Metric, ThreatModel | None]]:
    """Yield the metrics of accuracy and attack success, each with its threat model."""
    yield from _on_test_images(study.results)
    yield from _on_adversarial_set(study.results)
    yield from _under_attack(study.results)
    yield from _attacks(study.results)
    yield from _frequencies(study.results)


def _on_test_images(results: Results) -> Iterator[tuple[Metric, None]]:
    shares = [("program", "program.test_accuracy", results.program.test_accuracy)]
    for role in ("baseline", "student"):
        network = getattr(results.distillation, role)
        shares.append((role, f"distillation.{role}.test_accuracy", network.test_accuracy))
    for version in results.versions:
        if version.name is not None:
            key = f"versions.{quoted(version.name)}.test_accuracy"
            shares.append((version.name, key, version.test_accuracy))
    images = results.study.test_images
    for subject, key, share in shares:
        if share is not None:
            yield (
                Metric(
                    key=key,
                    name="accuracy on the test images",
                    subject=subject,
                    property="performance",
                    approach="statistical",
                    value=share,
                    unit="share",
                    interval=_wilson(share, images),
                    images=images,
                    test_images=images,
                    method="share of all test images with the right class",
                ),
                None,
            )


def _on_adversarial_set(results: Results) -> Iterator[tuple[Metric, ThreatModel]]:
    program, images = results.program, results.adversarial_set.size
    shares = results.comparisons.adversarial.shares if results.comparisons.adversarial else {}
    told = {
        "program": ("program.accuracy", program.accuracy),
        "baseline": (
            "distillation.baseline.adversarial_accuracy",
            results.distillation.baseline.adversarial_accuracy,
        ),
        "student": (
            "distillation.student.adversarial_accuracy",
            results.distillation.student.adversarial_accuracy,
        ),
    }
    for subject, (key, value) in told.items():
        if value is None:
            continue
        share = shares.get(subject)
        yield (
            Metric(
                key=key,
                name="accuracy on the adversarial set",
                subject=subject,
                property="stability",
                approach="empirical",
                value=value,
                unit="share",
                reading="upper bound",
                interval=Interval(low=share.low, high=share.high, method=BOOTSTRAP)
                if share
                else None,
                images=images,
                test_images=results.adversarial_set.source_images,
                method=f"images made against the single versions by {_attack_names(results)}",
                threat=TRANSFERRED.id,
            ),
            TRANSFERRED,
        )


def _under_attack(results: Results) -> Iterator[tuple[Metric, ThreatModel]]:
    for row in results.under_attack:
        threat = within(norm_of(row.norm), row.radius)
        yield (
            Metric(
                key=f"under_attack.{quoted(f'{row.norm}@{row.radius:g}')}.value",
                name="images on which no attack found a change within the radius",
                subject="versions",
                property="stability",
                approach="empirical",
                value=row.value,
                unit="share",
                reading="upper bound",
                interval=Interval(low=row.low, high=row.high, method=BOOTSTRAP),
                images=row.images,
                test_images=row.clusters,
                method=f"the nearest of {_attack_names(results)}, all versions taken together",
                threat=threat.id,
            ),
            threat,
        )


def _attacks(results: Results) -> Iterator[tuple[Metric, ThreatModel | None]]:
    for place, row in enumerate(results.attacks):
        name = row.name or str(place)
        key = f"attacks.{quoted(name)}"
        threat = on_versions(norm_of(row.norm)) if row.norm else TRANSFERRED
        if row.effectiveness is not None:
            yield _effectiveness(row, name, key, threat), threat
        norm = norm_of(row.norm) if row.norm else "l2"
        median = getattr(row, f"median_{norm}", None)
        if median is not None:
            yield (
                Metric(
                    key=f"{key}.median_{norm}",
                    name="median change of the attack's successes",
                    subject="versions",
                    property="stability",
                    approach="empirical",
                    value=median,
                    unit="distance",
                    reading="upper bound",
                    images=row.succeeded,
                    test_images=row.test_images,
                    method=name,
                    threat=threat.id,
                ),
                threat,
            )


def _effectiveness(row: AttackRow, name: str, key: str, threat: ThreatModel) -> Metric:
    interval = None
    if row.effectiveness_low is not None:
        interval = Interval(low=row.effectiveness_low, high=row.effectiveness_high, method=WILSON)
    return Metric(
        key=f"{key}.effectiveness",
        name="attack runs that succeed",
        subject="versions",
        property="stability",
        approach="empirical",
        value=row.effectiveness,
        unit="share",
        reading="lower bound",
        interval=interval,
        images=row.tried,
        test_images=row.test_images,
        method=name,
        threat=threat.id,
    )


def _frequencies(results: Results) -> Iterator[tuple[Metric, ThreatModel]]:
    threat = ThreatModel(id="any-attack", knowledge="everything: weights, gradients")
    for role in ("baseline", "student"):
        network = getattr(results.distillation, role)
        if network.adversarial_frequency is None:
            continue
        low, high = network.adversarial_frequency_low, network.adversarial_frequency_high
        yield (
            Metric(
                key=f"distillation.{role}.adversarial_frequency",
                name="attack runs that succeed",
                subject=role,
                property="stability",
                approach="empirical",
                value=network.adversarial_frequency,
                unit="share",
                reading="lower bound",
                interval=None if low is None else Interval(low=low, high=high, method=WILSON),
                images=network.attack_runs,
                test_images=network.attacked_images,
                method=", ".join(network.attacks) or "the study's attacks",
                threat=threat.id,
            ),
            threat,
        )


def _wilson(share: float, images: int | None) -> Interval | None:
    if not images:
        return None
    low, high = wilson_of_share(share, images)
    return Interval(low=low, high=high, method=WILSON)


def _attack_names(results: Results) -> str:
    names = [row.name for row in results.attacks if row.name and row.in_adversarial_set]
    return ", ".join(names) or "the study's attacks"
