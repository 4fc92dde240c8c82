"""A study's folder that no study made: every kind of number, and names that mean harm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nversion.evidence.gather import gather
from nversion.evidence.record import Evidence
from nversion.study.finished import open_study

MADE = datetime(2026, 1, 31, 12, tzinfo=UTC)

HOSTILE = "<b>a</b> & \"b\" {x} (y): `c` | 'd' \u2028\u2029é\U0001f600 #"


def values() -> dict[str, Any]:
    """Return results with a number of every kind."""
    share = {"value": 0.75, "low": 0.6, "high": 0.85, "images": 8, "clusters": 4}
    radii = {"mean": 0.2, "median": 0.2, "infinite": 1, "radii": [0.1, 0.2, 0.3, 0.0, None]}
    found = {
        "median": 1.5,
        "low": 1.25,
        "high": None,
        "distances": [0.0, 1.5, None],
        "holding": [{"radius": 0.5, "value": 0.75, "low": 0.5, "high": 0.9}],
        "found_by": {"apgd": 1, "fab": 1},
    }
    return {
        "study": {
            "name": HOSTILE,
            "dataset": "digits",
            "train_images": 80,
            "test_images": 20,
            "shape": [1, 8, 8],
            "class_names": ["zero", HOSTILE],
            "seed": 3,
            "voter": "majority",
            "nversion": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.7",
            "device": "cpu",
            "workers": 2,
            "wall_seconds": {"total": 1e-05},
            "failures": [{"unit": "versions/c", "error": HOSTILE}],
            "config": {"seed": 3, "program": {"voter": "majority"}},
        },
        "versions": [
            {
                "name": name,
                "architecture": "flatten\ndense, 4, relu\n",
                "parameters": 300,
                "status": "failed" if name == "c" else "trained",
                "test_accuracy": None if name == "c" else 0.95,
            }
            for name in ("student", "b.2", "c")
        ],
        "attacks": [
            {
                "name": "deepfool",
                "norm": "l2",
                "tried": 8,
                "succeeded": 6,
                "effectiveness": 0.75,
                "effectiveness_low": 0.5,
                "effectiveness_high": 0.9,
                "test_images": 4,
                "in_adversarial_set": True,
                "median_l2": 0.5,
            }
        ],
        "adversarial_set": {"size": 8, "source_images": 4},
        "under_attack": [{"norm": "linf", "radius": 0.1, **share}],
        "program": {
            "voter": "majority",
            "versions": ["student", "b.2"],
            "test_accuracy": 0.9,
            "accuracy": 0.75,
            "whole": {
                "images": 3,
                "test_indices": [4, 1, 7],
                "subjects": [
                    {"name": HOSTILE, "kind": "program", "versions": 2, "norms": {"l2": found}},
                    {
                        "name": "b.2",
                        "kind": "version",
                        "versions": 1,
                        "norms": {"linf": {**found, "median": None, "low": None}},
                    },
                ],
            },
        },
        "comparisons": {"adversarial": {"images": 8, "shares": {"program": share}}},
        "reliability": {
            "test": {"images": 20, "failures": {"correlation": 0.25, "coincidences": 2}}
        },
        "distillation": {
            "architecture": "flatten\n",
            "baseline": {"test_accuracy": 0.9, "adversarial_accuracy": 0.5},
            "student": {
                "test_accuracy": 1.0,
                "adversarial_frequency": 0.5,
                "adversarial_frequency_low": 0.25,
                "adversarial_frequency_high": 0.75,
                "attack_runs": 8,
                "attacked_images": 4,
                "attacks": {"deepfool": 0.5},
            },
        },
        "certification": {
            "method": "linear",
            "images": 5,
            "norms": {"2": {"baseline": radii, "student": radii}},
            "norms_box": {"inf": {"baseline": radii, "student": {}}},
            "program": {
                "voter": "majority",
                "domain": "ball",
                "versions": ["student"],
                "versions_of": 2,
                "norms": {"2": {"program": radii}},
            },
        },
    }


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a study's folder with some results, by default all kinds of numbers."""

    def write(results: dict[str, Any] | None = None) -> Path:
        folder = tmp_path / "study"
        for name in ("student", "b.2"):
            place = folder / "versions" / name
            place.mkdir(parents=True)
            (place / "weights.safetensors").write_bytes(name.encode())
            record = {
                "dataset_digest": "d" * 64,
                "seed": 2**60,
                "recipe": {"name": "small", "learning_rate": 1e-05, "max_steps": None},
                "libraries": {"torch": "2.13.0"},
                "sha256": {"weights.safetensors": hashlib.sha256(name.encode()).hexdigest()},
            }
            (place / "record.json").write_text(json.dumps(record))
        (folder / "results.json").write_text(json.dumps(values() if results is None else results))
        return folder

    return write


@pytest.fixture
def study_folder(make_study: Callable[..., Path]) -> Path:
    """A study's folder with every kind of number."""
    return make_study()


@pytest.fixture
def evidence(study_folder: Path) -> Evidence:
    """Its evidence."""
    return gather(open_study(study_folder), MADE)
