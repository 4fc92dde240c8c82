"""Evidence as a model card of Hugging Face's form: YAML that machines read, Markdown for people.

Model cards are of Mitchell et al., "Model cards for model reporting", FAT* 2019. The front matter
has ``model-index``, with the accuracies as that form has them; everything else is in the tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nversion.evidence.record import Evidence
from nversion.evidence.words import number, of_threat, with_interval

__all__ = ["to_model_card"]

BREAKS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\ufeff": "\\ufeff"}
"""What ends a line in YAML and not in JSON, or is no text there."""


def to_model_card(evidence: Evidence) -> str:
    """Return evidence as the text of a model card."""
    return "---\n" + "\n".join(_yaml(_front_matter(evidence))) + "\n---\n\n" + _page(evidence)


def _front_matter(evidence: Evidence) -> dict[str, Any]:
    study = evidence.study
    data = {"name": study.dataset or "unnamed dataset", "type": study.dataset or "unknown"}
    shares = [
        one
        for one in evidence.metrics
        if one.subject == "program" and one.unit == "share" and one.value is not None
    ]
    return {
        "library_name": "nversion",
        "pipeline_tag": "image-classification",
        "tags": ["n-version-programming", "adversarial-robustness", "ensemble"],
        "datasets": [data["type"]],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": study.name,
                "results": [
                    {
                        "task": {"type": "image-classification", "name": "Image classification"},
                        "dataset": {**data, "split": "test"},
                        "metrics": [
                            {"type": "accuracy", "name": one.name, "value": one.value}
                            for one in shares
                        ],
                    }
                ],
            }
        ],
    }


def _page(evidence: Evidence) -> str:
    study, program = evidence.study, evidence.program
    parts = [
        f"# {_cell(study.name)}",
        f"An N-version program: {len(program.versions)} networks vote by "
        f"{_cell(program.voter)}. On an exact tie: {_cell(program.tie_rule)}. No class is named: "
        f"{_cell(program.abstention_rule)}.",
        f"The numbers are of a study with seed {_cell(study.seed)} on {_cell(study.dataset)} "
        f"({_cell(study.train_images)} training images, {_cell(study.test_images)} test images, "
        f"digest `{study.dataset_digest}`); its results have the SHA-256 "
        f"`{study.results_sha256}`. Made {evidence.made} by {_cell(evidence.made_by)}.",
        "## Evaluation",
        "Properties are called as in ISO/IEC 24029-2:2023. Distances and radii are in pixels of "
        "[0, 1].",
        _table(
            ("of", "property", "what", "value", "reading", "images", "how", "threat model"),
            (
                (
                    one.subject,
                    f"{one.property} ({one.approach})",
                    one.name,
                    with_interval(one),
                    one.reading,
                    one.images,
                    one.method,
                    one.threat,
                )
                for one in evidence.metrics
            ),
        ),
        "## Threat models",
        _table(
            ("name", "what the attacker may do and knows"),
            ((one.id, of_threat(one)) for one in evidence.threat_models),
        ),
        "## Limits",
        _table(
            ("what", "status", "reason"),
            ((one.what, one.status, one.reason) for one in evidence.limits),
        ),
        "## Networks",
        _table(
            ("name", "role", "parameters", "seed", "SHA-256 of the weights"),
            (
                (one.name, one.role, one.parameters, one.seed, one.weights_sha256)
                for one in evidence.networks
            ),
        ),
        "## Environment",
        _table(("what", "value"), evidence.environment.to_json().items()),
    ]
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    """Return a value as text that Markdown shows as it is, in one line."""
    if value is None:
        return "not known"
    text = number(value) if isinstance(value, float) else str(value)
    return re.sub(r"([\\`*_|<>\[\]#&])", r"\\\1", " ".join(text.split()))


def _yaml(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a value in YAML's block style, scalars as JSON writes them."""
    space = "  " * depth
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list) and inner:
                yield f"{space}{key}:"
                yield from _yaml(inner, depth + 1)
            else:
                yield f"{space}{key}: {_scalar(inner)}"
    else:
        for inner in value:
            if isinstance(inner, Mapping):
                first, *rest = _yaml(inner, depth + 1)
                yield f"{space}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{space}- {_scalar(inner)}"


def _scalar(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        # Without a point, YAML 1.1 takes 1e-05 for a word.
        text = text.replace("e", ".0e")
    for character, escape in BREAKS.items():
        text = text.replace(character, escape)
    return text
