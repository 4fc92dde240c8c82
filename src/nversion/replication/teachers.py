"""A study's versions as the teachers of a replication: what is read from its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nversion.architectures import Architecture, find_architecture
from nversion.datasets import Dataset, load_dataset
from nversion.errors import ConfigError, StudyError
from nversion.reading import read_toml
from nversion.versions import Recipe, load_recipe

__all__ = ["Teachers", "study_teachers"]


@dataclasses.dataclass(frozen=True)
class Teachers:
    """What a replication takes from a study.

    Attributes:
        data: its dataset.
        versions: folders of its versions.
        voter: by name.
        adversarial: folder of its adversarial set; None if it has none.
        architecture: of the networks that are trained.
        recipe: of their training.
    """

    data: Dataset
    versions: tuple[Path, ...]
    voter: str
    adversarial: Path | None
    architecture: Architecture
    recipe: Recipe


def study_teachers(
    study: Path, data_dir: Path | str | None, architecture: str = "student", recipe: str = ""
) -> Teachers:
    """Return the versions of a study, with what they were trained on.

    Args:
        study: the study's folder.
        data_dir: where the data's files are; None: where the study had them.
        architecture: a file, a name from the catalogue, or "student".
        recipe: a name or file; "" for the student's of the study.

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
    versions = sorted(
        path.parent for path in (study / "versions").glob("*/record.json") if path.is_file()
    )
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
