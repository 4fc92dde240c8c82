"""One whole experiment: configuration in, artefacts and results out.

The public names are loaded when they are first used, so that a configuration is checked without
waiting for the stages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nversion.study.config import StudyConfig, load_config, make_config
    from nversion.study.context import AttackPlan
    from nversion.study.facts import without_times
    from nversion.study.runner import run_study
    from nversion.study.sections import Results
    from nversion.study.standalone import build_adversarial_set

_HOMES = {
    "AttackPlan": "context",
    "Results": "sections",
    "StudyConfig": "config",
    "build_adversarial_set": "standalone",
    "load_config": "config",
    "make_config": "config",
    "run_study": "runner",
    "without_times": "facts",
}

__all__ = [
    "AttackPlan",
    "Results",
    "StudyConfig",
    "build_adversarial_set",
    "load_config",
    "make_config",
    "run_study",
    "without_times",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nversion.study' has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
