"""N-version programming for neural networks.

How robust are my networks, do N diverse versions voting together resist what one network does not,
and can that robustness be put into one small network, provably?

    import nversion as nv

    data = nv.load_dataset("digits")
    outcomes = nv.train_many(nv.catalogue(5, data.shape, data.classes), data, recipe="small")
    program = nv.Program([outcome.version.model for outcome in outcomes])
    verdict = program.vote(data.test.images)

The public names are loaded when they are first used, so that ``nversion --help`` need not wait for
PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nversion import attacks
    from nversion.architectures import Architecture, catalogue, generate, student_architecture
    from nversion.attacks.doctor import examine
    from nversion.attacks.votes import attack_program, diversity_budget
    from nversion.datasets import Dataset, Split, as_images, as_labels, as_split, load_dataset
    from nversion.distillation import Distilled, distil
    from nversion.errors import NVersionError
    from nversion.formats import Feed, load_version
    from nversion.measures import Diversity, diversity
    from nversion.outputs import as_logits
    from nversion.program import Program, Verdict
    from nversion.program.dispatch import certify
    from nversion.program.exporting import export
    from nversion.program.importing import load_program
    from nversion.reliability import CoincidentFailures, coincident_failures
    from nversion.study import StudyConfig, run_study
    from nversion.versions import Outcome, Recipe, Record, Version, load_recipe, train, train_many

_HOMES = {
    "Architecture": "nversion.architectures",
    "CoincidentFailures": "nversion.reliability",
    "Dataset": "nversion.datasets",
    "Distilled": "nversion.distillation",
    "Diversity": "nversion.measures",
    "Feed": "nversion.formats",
    "NVersionError": "nversion.errors",
    "Outcome": "nversion.versions",
    "Program": "nversion.program",
    "Recipe": "nversion.versions",
    "Record": "nversion.versions",
    "Split": "nversion.datasets",
    "StudyConfig": "nversion.study",
    "Verdict": "nversion.program",
    "Version": "nversion.versions",
    "as_images": "nversion.datasets",
    "as_labels": "nversion.datasets",
    "as_logits": "nversion.outputs",
    "attack_program": "nversion.attacks.votes",
    "as_split": "nversion.datasets",
    "attacks": "nversion",
    "catalogue": "nversion.architectures",
    "certify": "nversion.program.dispatch",
    "coincident_failures": "nversion.reliability",
    "distil": "nversion.distillation",
    "diversity": "nversion.measures",
    "diversity_budget": "nversion.attacks.votes",
    "examine": "nversion.attacks.doctor",
    "export": "nversion.program.exporting",
    "generate": "nversion.architectures",
    "load_dataset": "nversion.datasets",
    "load_program": "nversion.program.importing",
    "load_recipe": "nversion.versions",
    "load_version": "nversion.formats",
    "run_study": "nversion.study",
    "student_architecture": "nversion.architectures",
    "train": "nversion.versions",
    "train_many": "nversion.versions",
}

__all__ = [
    "Architecture",
    "CoincidentFailures",
    "Dataset",
    "Distilled",
    "Diversity",
    "Feed",
    "NVersionError",
    "Outcome",
    "Program",
    "Recipe",
    "Record",
    "Split",
    "StudyConfig",
    "Verdict",
    "Version",
    "__version__",
    "as_images",
    "as_labels",
    "as_logits",
    "as_split",
    "attack_program",
    "attacks",
    "catalogue",
    "certify",
    "coincident_failures",
    "distil",
    "diversity",
    "diversity_budget",
    "examine",
    "export",
    "generate",
    "load_dataset",
    "load_program",
    "load_recipe",
    "load_version",
    "run_study",
    "student_architecture",
    "train",
    "train_many",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nversion' has no attribute {name!r}")
    if home == "nversion":
        return import_module(f"nversion.{name}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
