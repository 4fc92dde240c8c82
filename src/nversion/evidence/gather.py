"""Gather a study's evidence from its folder: what was shown, and what was not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import nversion
from nversion.evidence.accuracy import accuracy_metrics
from nversion.evidence.certificates import certified_metrics, certified_per_image
from nversion.evidence.networks import dataset_digest, networks, program
from nversion.evidence.record import (
    Environment,
    Evidence,
    Limit,
    Metric,
    NetworkEvidence,
    StudyEvidence,
    ThreatModel,
)
from nversion.evidence.whole import failure_metrics, whole_metrics, whole_of, whole_per_image
from nversion.files import sha256_of_file
from nversion.study.finished import FinishedStudy
from nversion.study.former import settings_digest

__all__ = ["gather", "metrics_of"]


def gather(study: FinishedStudy, made: datetime | None = None) -> Evidence:
    """Return a study's evidence.

    Args:
        study: that ended.
        made: when the evidence is made; by default now.

    Raises:
        ArtefactError: weights are not those of their record, or versions are of different data.
    """
    moment = (made or datetime.now(UTC)).astimezone(UTC)
    told = metrics_of(study)
    threats: dict[str, ThreatModel] = {}
    for _, threat in told:
        if threat is not None:
            threats.setdefault(threat.id, threat)
    found = networks(study)
    facts = study.results.study
    return Evidence(
        made=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        made_by=f"nversion {nversion.__version__}",
        study=_study(study),
        networks=found,
        program=program(study),
        threat_models=list(threats.values()),
        metrics=[metric for metric, _ in told],
        per_image=[*certified_per_image(study), *whole_per_image(study)],
        limits=list(_limits(study, found)),
        environment=Environment(
            nversion=facts.nversion,
            commit=facts.commit,
            python=facts.python,
            torch=facts.torch,
            device=facts.device,
            workers=facts.workers,
            seconds=facts.wall_seconds.get("total"),
        ),
        failures=[f"{one.unit}: {one.error}" for one in facts.failures],
    )


def metrics_of(study: FinishedStudy) -> list[tuple[Metric, ThreatModel | None]]:
    """Return every number of a study that stands for a property, with its threat model."""
    return [
        *accuracy_metrics(study),
        *certified_metrics(study),
        *whole_metrics(study),
        *failure_metrics(study),
    ]


def _study(study: FinishedStudy) -> StudyEvidence:
    facts = study.results.study
    return StudyEvidence(
        name=facts.name or study.folder.root.name,
        results_sha256=sha256_of_file(study.folder.results),
        settings_sha256=None if facts.config is None else settings_digest(facts.config),
        settings=facts.config,
        seed=facts.seed,
        dataset=facts.dataset,
        dataset_digest=dataset_digest(study),
        train_images=facts.train_images,
        test_images=facts.test_images,
        shape=facts.shape,
        class_names=facts.class_names,
    )


def _limits(study: FinishedStudy, found: list[NetworkEvidence]) -> Iterator[Limit]:
    """Yield what the evidence does not cover: of this study, and of any."""
    results = study.results
    if not whole_of(study):
        yield Limit(
            what="the program attacked as a whole, by who knows the vote",
            status="not evaluated",
            reason="images made against single versions say nothing of such an attacker",
        )
    if results.certification.program is None:
        yield Limit(
            what="certified radii of the vote",
            status="not evaluated",
            reason="certification.program_images of the study was 0, or it is of an older version",
        )
    elif (votes := results.certification.program).versions_of != len(votes.versions or []):
        yield Limit(
            what="certified radii of the vote of all versions",
            status="in part",
            reason=f"{len(votes.versions or [])} of {votes.versions_of} versions voted",
        )
    if "reliability" not in study.values:
        yield Limit(
            what="coincident failures of the versions",
            status="not evaluated",
            reason="the study did not measure them; `nversion diversity` does",
        )
    if missing := [one.name for one in found if one.weights_sha256 is None]:
        yield Limit(
            what="which weights the numbers are of",
            status="not evaluated" if len(missing) == len(found) else "in part",
            reason=f"the weights of {len(missing)} of {len(found)} networks are not at hand",
        )
    yield from _of_any_study()


def _of_any_study() -> Iterator[Limit]:
    for what, reason in (
        (
            "sensitivity (ISO/IEC 24029-2, 5.4)",
            "how far outputs move within a domain is bounded on the way to radii, and not kept",
        ),
        ("relevance (ISO/IEC 24029-2, 5.5)", "no attribution to parts of the image is made"),
        ("reachability (ISO/IEC 24029-2, 5.6)", "the networks classify, and control nothing"),
        (
            "images from elsewhere than the test set's source",
            "`nversion shift` judges shifted and unknown images, and is no part of a study",
        ),
    ):
        yield Limit(what=what, status="not evaluated", reason=reason)
    yield Limit(
        what="attacks of other kinds than the study's",
        status="in part",
        reason="an attack that fails proves nothing; only certificates bound what others may find",
    )
