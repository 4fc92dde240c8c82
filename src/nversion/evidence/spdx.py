"""Evidence as an SPDX 3.0.1 document: AI packages, their data, and how they go together.

The program and each network are packages of the AI profile, the data one of the dataset profile;
metrics and limits stand at the program. It is written as JSON-LD, the specification's own form.
Conformance to those profiles is not claimed: they ask for supplier, place and time of release as
well, which a study does not know and whoever releases its networks adds.
"""

from __future__ import annotations

import json
from typing import Any

from nversion.evidence.record import Evidence, NetworkEvidence
from nversion.evidence.words import identifier, number, of_threat, sentence, slice_of

__all__ = ["CONTEXT", "to_spdx"]

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
"""What the names of the keys mean: an identifier, which readers know without fetching it."""

CREATION = "_:creation"


def to_spdx(evidence: Evidence) -> dict[str, Any]:
    """Return evidence as the JSON-LD values of an SPDX 3.0.1 document."""
    elements = _Elements(evidence)
    parts = [
        elements.agent(),
        elements.program(),
        elements.data(),
        *(elements.network(place) for place in range(len(evidence.networks))),
    ]
    everything = [*parts, *elements.relationships()]
    document = {
        **elements.element("SpdxDocument", "document"),
        "name": f"Evidence of the study {evidence.study.name}",
        "profileConformance": ["core", "software"],
        "rootElement": [elements.id("program")],
        "element": [one["spdxId"] for one in everything],
    }
    creation = {
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        "created": evidence.made,
        "createdBy": [elements.id("agent")],
    }
    return {"@context": CONTEXT, "@graph": [creation, document, *everything]}


class _Elements:
    """The elements of the document, each under a name that the others refer to."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.space = f"urn:uuid:{identifier(evidence)}"
        self.places = {
            one.name: place for place, one in enumerate(evidence.networks) if one.role == "version"
        }

    def id(self, name: str) -> str:
        """Return the identifier of an element."""
        return f"{self.space}#{name}"

    def network_id(self, place: int) -> str:
        """Return the identifier of a network, by place: its name may not be fit for one."""
        return self.id(f"network-{place}")

    def element(self, kind: str, name: str) -> dict[str, Any]:
        """Return what every element has."""
        return {"type": kind, "spdxId": self.id(name), "creationInfo": CREATION}

    def agent(self) -> dict[str, Any]:
        """Return who made the document: a program, not a person."""
        return {**self.element("SoftwareAgent", "agent"), "name": self.evidence.made_by}

    def program(self) -> dict[str, Any]:
        """Return the program as an AI package, with all metrics and limits."""
        evidence = self.evidence
        return {
            **self.element("ai_AIPackage", "program"),
            "name": evidence.study.name,
            "summary": f"N-version program of {len(evidence.program.versions)} networks, voter "
            f"{evidence.program.voter}, ties: {evidence.program.tie_rule}",
            "software_primaryPurpose": "model",
            "software_packageVersion": evidence.study.results_sha256[:12],
            "ai_typeOfModel": ["N-version program", "supervised"],
            "ai_domain": ["image classification"],
            "ai_informationAboutTraining": json.dumps(evidence.study.settings, sort_keys=True),
            "ai_metric": _entries({sentence(one): slice_of(one) for one in evidence.metrics}),
            "comment": "\n".join(
                f"threat model {threat.id}: {of_threat(threat)}"
                for threat in evidence.threat_models
            ),
            "ai_limitation": "\n".join(
                f"{limit.status}: {limit.what} ({limit.reason})" for limit in evidence.limits
            ),
        }

    def data(self) -> dict[str, Any]:
        """Return the data as a dataset package."""
        study = self.evidence.study
        return {
            **self.element("dataset_DatasetPackage", "dataset"),
            "name": study.dataset or "unnamed dataset",
            "software_primaryPurpose": "data",
            "dataset_datasetType": ["image"],
            "dataset_datasetSize": (study.train_images or 0) + (study.test_images or 0),
            "comment": f"nversion's digest of images, labels and split: {study.dataset_digest}",
        }

    def network(self, place: int) -> dict[str, Any]:
        """Return a network as an AI package, with the hash of its weights."""
        network: NetworkEvidence = self.evidence.networks[place]
        own = [one for one in self.evidence.metrics if one.subject == network.name]
        package: dict[str, Any] = {
            **self.element("ai_AIPackage", f"network-{place}"),
            "name": network.name,
            "summary": f"{network.role}, {network.status}",
            "description": network.architecture or "architecture not known",
            "software_primaryPurpose": "model",
            "ai_typeOfModel": ["neural network", "supervised"],
            "ai_hyperparameter": _entries(
                {"seed": network.seed, "parameters": network.parameters, **(network.recipe or {})}
            ),
            "ai_metric": _entries({one.name: number(one.value) for one in own}),
        }
        if network.weights_sha256 is not None:
            package["verifiedUsing"] = [
                {"type": "Hash", "algorithm": "sha256", "hashValue": network.weights_sha256}
            ]
        return package

    def relationships(self) -> list[dict[str, Any]]:
        """Return how the elements go together."""
        voting = [
            self.network_id(self.places[name])
            for name in self.evidence.program.versions
            if name in self.places
        ]
        trained = [
            self.network_id(place)
            for place, one in enumerate(self.evidence.networks)
            if one.status != "failed"
        ]
        found = [self._relation("tested", "testedOn", "program", [self.id("dataset")])]
        if voting:
            found.append(self._relation("votes", "contains", "program", voting))
        for place, network in enumerate(trained):
            relation = self._relation(f"trained-{place}", "trainedOn", "", [self.id("dataset")])
            found.append({**relation, "from": network})
        return found

    def _relation(self, name: str, kind: str, source: str, to: list[str]) -> dict[str, Any]:
        return {
            **self.element("Relationship", name),
            "relationshipType": kind,
            "from": self.id(source),
            "to": to,
        }


def _entries(values: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"type": "DictionaryEntry", "key": key, "value": str(value)}
        for key, value in values.items()
        if value is not None
    ]
