"""Evidence as a CycloneDX bill of materials, with a model card (ECMA-424, CycloneDX 1.6).

The program is the component that the bill is of; networks and data are its parts, by their hashes.
What CycloneDX has no place for stands in properties whose names begin with ``nversion:``.
"""

from __future__ import annotations

from typing import Any

from nversion.evidence.record import Evidence, Metric, NetworkEvidence
from nversion.evidence.words import identifier, number, of_threat, slice_of

__all__ = ["to_cyclonedx"]


def to_cyclonedx(evidence: Evidence) -> dict[str, Any]:
    """Return evidence as the JSON values of a CycloneDX 1.6 bill of materials."""
    versions = [f"version/{name}" for name in evidence.program.versions]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identifier(evidence)}",
        "version": 1,
        "metadata": {
            "timestamp": evidence.made,
            "tools": {"components": [_tool(evidence)]},
            "component": _program(evidence),
        },
        "components": [
            _data(evidence),
            *(_network(evidence, network) for network in evidence.networks),
        ],
        "dependencies": [{"ref": "program", "dependsOn": versions}],
    }


def _tool(evidence: Evidence) -> dict[str, Any]:
    return {"type": "application", "name": "nversion", "version": evidence.made_by.split()[-1]}


def _data(evidence: Evidence) -> dict[str, Any]:
    study = evidence.study
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": "dataset",
        "name": study.dataset or "unnamed dataset",
        "data": [{"type": "dataset", "name": study.dataset or "unnamed dataset"}],
        "properties": _properties(
            {
                "dataset-digest": study.dataset_digest,
                "train-images": study.train_images,
                "test-images": study.test_images,
                "shape": study.shape,
                "classes": study.class_names,
            }
        ),
    }
    return component


def _program(evidence: Evidence) -> dict[str, Any]:
    study, program = evidence.study, evidence.program
    return {
        "type": "machine-learning-model",
        "bom-ref": "program",
        "name": study.name,
        "description": f"N-version program of {len(program.versions)} networks that vote by "
        f"{program.voter or 'an unnamed voter'}",
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "image classification",
                "architectureFamily": "N-version program",
                "datasets": [{"ref": "dataset"}],
                "inputs": [{"format": "image, float32 in [0, 1]"}],
                "outputs": [{"format": "class, or an abstention"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(evidence)},
            "considerations": {
                "technicalLimitations": [
                    f"{limit.status}: {limit.what} ({limit.reason})" for limit in evidence.limits
                ]
            },
        },
        "properties": _properties(
            {
                "format": evidence.format,
                "results-sha256": study.results_sha256,
                "settings-sha256": study.settings_sha256,
                "seed": study.seed,
                "voter": program.voter,
                "tie-rule": program.tie_rule,
                "abstention-rule": program.abstention_rule,
                **{
                    f"threat-model:{threat.id}": of_threat(threat)
                    for threat in evidence.threat_models
                },
                **{
                    f"environment:{key}": value
                    for key, value in evidence.environment.to_json().items()
                },
            }
        ),
    }


def _network(evidence: Evidence, network: NetworkEvidence) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"{network.role}/{network.name}",
        "name": network.name,
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "image classification",
                "modelArchitecture": network.architecture or "not known",
                "datasets": [{"ref": "dataset"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": _metrics(evidence, network)},
        },
        "properties": _properties(
            {
                "role": network.role,
                "status": network.status,
                "parameters": network.parameters,
                "seed": network.seed,
                **{f"recipe:{key}": value for key, value in (network.recipe or {}).items()},
            }
        ),
    }
    if network.weights_sha256 is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": network.weights_sha256}]
    return component


def _metrics(evidence: Evidence, network: NetworkEvidence | None = None) -> list[dict[str, Any]]:
    """Return the metrics of one network; without one, those of the program and of all versions."""
    names = {one.name for one in evidence.networks}
    return [
        _metric(one)
        for one in evidence.metrics
        if (one.subject not in names if network is None else one.subject == network.name)
    ]


def _metric(metric: Metric) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": metric.name,
        "value": number(metric.value),
        "slice": f"{metric.subject}; {slice_of(metric)}",
    }
    if metric.interval is not None:
        ends = {"lowerBound": metric.interval.low, "upperBound": metric.interval.high}
        found["confidenceInterval"] = {
            end: number(value) for end, value in ends.items() if value is not None
        }
    return found


def _properties(values: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": f"nversion:{key}", "value": str(value)}
        for key, value in values.items()
        if value is not None
    ]
