"""The forms that evidence is written in, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nversion.evidence.cyclonedx import to_cyclonedx
from nversion.evidence.junit import evidence_to_junit
from nversion.evidence.ltac import to_ltac
from nversion.evidence.model_card import to_model_card
from nversion.evidence.record import Evidence
from nversion.evidence.spdx import to_spdx

__all__ = ["FORMS"]


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMS: Mapping[str, Callable[[Evidence], str]] = MappingProxyType(
    {
        "json": lambda evidence: _json(evidence.to_json()),
        "cyclonedx": lambda evidence: _json(to_cyclonedx(evidence)),
        "spdx": lambda evidence: _json(to_spdx(evidence)),
        "modelcard": to_model_card,
        "ltac": to_ltac,
        "junit": evidence_to_junit,
    }
)
"""By the name of each form, what writes evidence as its text."""
