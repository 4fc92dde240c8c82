"""Which networks a study's numbers are of: their weights by hash, and how they came about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from nversion.errors import ArtefactError, InputError
from nversion.evidence.record import NetworkEvidence, ProgramEvidence
from nversion.files import read_object, sha256_of_file
from nversion.program.voters import create_voter
from nversion.study.finished import FinishedStudy

__all__ = ["dataset_digest", "networks", "program"]

WEIGHTS, RECORD = "weights.safetensors", "record.json"


def networks(study: FinishedStudy) -> list[NetworkEvidence]:
    """Return the study's networks: its versions, baseline and student.

    Raises:
        ArtefactError: a network's weights are not those of its record.
    """
    found = [
        _network(
            study,
            version.name,
            "version",
            status=version.status,
            architecture=version.architecture,
            parameters=version.parameters,
        )
        for version in study.results.versions
        if version.name is not None
    ]
    made = study.results.distillation
    for role in _roles(study):
        found.append(_network(study, role, role, architecture=made.architecture, status="trained"))
    return found


def _roles(study: FinishedStudy) -> Iterable[Literal["baseline", "student"]]:
    made = study.results.distillation
    if made.baseline.model_fields_set:
        yield "baseline"
    if made.student.model_fields_set:
        yield "student"


def _network(
    study: FinishedStudy,
    name: str,
    role: Literal["version", "baseline", "student"],
    **known: Any,
) -> NetworkEvidence:
    """Return what is known of one network, from the results and from its folder."""
    record, sha256 = _record(study, name, role), None
    folder = study.folder.version(name) if role == "version" else study.folder.network(role)
    weights = folder / WEIGHTS
    if weights.is_file():
        sha256 = sha256_of_file(weights)
        told = (record.get("sha256") or {}).get(WEIGHTS)
        if told is not None and told != sha256:
            raise ArtefactError(
                f"{weights} does not match its checksum in {RECORD}; evidence of it would be of "
                "another network; run the study again"
            )
    if known.get("parameters") is None:
        known["parameters"] = record.get("parameters")
    return NetworkEvidence(
        name=name,
        role=role,
        weights_sha256=sha256,
        seed=record.get("seed"),
        recipe=record.get("recipe"),
        libraries=record.get("libraries") or {},
        **known,
    )


def _record(study: FinishedStudy, name: str, role: str) -> dict[str, Any]:
    folder = study.folder.version(name) if role == "version" else study.folder.network(role)
    path = folder / RECORD
    return read_object(path) if path.is_file() else {}


def dataset_digest(study: FinishedStudy) -> str | None:
    """Return the SHA-256 of the study's dataset, which its versions' records hold.

    Raises:
        ArtefactError: two versions were trained on different data.
    """
    digests = {
        record["dataset_digest"]
        for version in study.results.versions
        if version.name is not None
        and "dataset_digest" in (record := _record(study, version.name, "version"))
    }
    if len(digests) > 1:
        raise ArtefactError(
            f"{study.folder.root}: its versions were trained on {len(digests)} different datasets; "
            "run the study again"
        )
    return digests.pop() if digests else None


def program(study: FinishedStudy) -> ProgramEvidence:
    """Return who votes, and by which rules."""
    told = study.results.program
    versions, name = told.versions or [], told.voter or study.results.study.voter
    if name is None:
        return ProgramEvidence(versions=versions)
    try:
        voter = create_voter(name)
    except InputError:
        # A plugin's, which is not installed here.
        return ProgramEvidence(versions=versions, voter=name)
    return ProgramEvidence(
        versions=versions,
        voter=name,
        tie_rule=voter.tie_rule,
        abstention_rule=voter.abstention_rule(len(versions)) if versions else None,
        fault_bound=voter.bound,
    )
