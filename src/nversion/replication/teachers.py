"""A study's versions as the teachers of a replication: what is read from its folder.

Versions from files teach like those that were trained here: what a teacher is asked for is its
outputs alone.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nversion.architectures import Architecture, find_architecture
from nversion.datasets import Dataset, load_dataset
from nversion.errors import ConfigError, InputError, StudyError
from nversion.files import digest_of, read_object, sha256_of_file
from nversion.formats import REFERENCE, Source, read_reference
from nversion.reading import read_toml
from nversion.replication.teacher import Teacher
from nversion.versions import Recipe, load_recipe

__all__ = ["Teachers", "study_teachers", "teacher_in"]

RECORD = "record.json"


def teacher_in(folder: Path, *, trust: bool = False) -> Teacher:
    """Return the version that a folder holds, or that it refers to, as one that teaches.

    Args:
        folder: what :meth:`nversion.Version.save` wrote, or a study made of a version from a file.
        trust: whether code that comes with the file may run.

    Raises:
        InputError: it holds no version.
        ArtefactError: what it holds is damaged.
    """
    if (folder / RECORD).is_file():
        weights = sha256_of_file(folder / "weights.safetensors")
        accuracy = float(read_object(folder / RECORD).get("test_accuracy", 0.0))
        return Teacher(folder.name, weights, folder, accuracy)
    if not (folder / REFERENCE).is_file():
        raise InputError(
            f"{folder}: holds no version that could teach; name a folder that `nversion train` "
            "wrote, or one of a study's versions"
        )
    reference = read_reference(folder)
    # As the study has it: the outputs are part of what tells one conversion from another.
    logits = sha256_of_file(folder / "test-logits.safetensors")
    weights = digest_of(reference.sha256, reference.feed, reference.classes, logits)
    source = Source(folder.resolve(), None, trust)
    return Teacher(folder.name, weights, folder, reference.test_accuracy, source)


@dataclasses.dataclass(frozen=True)
class Teachers:
    """What a replication takes from a study.

    Attributes:
        data: its dataset.
        versions: its versions: those that were trained, then those from files, each by name.
        voter: by name.
        adversarial: folder of its adversarial set; None if it has none.
        architecture: of the networks that are trained.
        recipe: of their training.
    """

    data: Dataset
    versions: tuple[Teacher, ...]
    voter: str
    adversarial: Path | None
    architecture: Architecture
    recipe: Recipe


def study_teachers(
    study: Path,
    data_dir: Path | str | None,
    architecture: str = "student",
    recipe: str = "",
    *,
    trust: bool = False,
) -> Teachers:
    """Return the versions of a study, with what they were trained on.

    Args:
        study: the study's folder.
        data_dir: where the data's files are; None: where the study had them.
        architecture: a file, a name from the catalogue, or "student".
        recipe: a name or file; "" for the student's of the study.
        trust: whether code that comes with versions from files may run.

    Raises:
        StudyError: the folder holds no study, or no version.
        ConfigError: its configuration is damaged.
        DatasetError: the data is not there.
    """
    file = study / "study.toml"
    if not file.is_file():
        raise StudyError(
            f"{study}: holds no study.toml; give the folder of a study, or make one with "
            f"`nversion study --out {study}`"
        )
    values = read_toml(file, ConfigError)
    data = load_dataset(values["dataset"], root=data_dir or values.get("data_dir") or None)
    versions = [
        teacher_in(path.parent, trust=trust)
        for mark in (RECORD, REFERENCE)
        for path in sorted((study / "versions").glob(f"*/{mark}"))
    ]
    if not versions:
        raise StudyError(f"{study}: has no versions yet; run the study first")
    adversarial = study / "adversarial"
    chosen = recipe or values.get("distillation", {}).get("recipe") or values["versions"]["recipe"]
    return Teachers(
        data,
        tuple(versions),
        values.get("program", {}).get("voter", "mean-softmax"),
        adversarial if (adversarial / "images.safetensors").is_file() else None,
        find_architecture(architecture, data.shape, data.classes),
        load_recipe(chosen),
    )
