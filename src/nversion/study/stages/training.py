"""Train the versions."""

from __future__ import annotations

from pathlib import Path

from nversion.architectures import Architecture, catalogue
from nversion.datasets import Dataset
from nversion.errors import ConfigError
from nversion.study.config import StudyConfig
from nversion.study.context import Context, Study
from nversion.study.ledger import Entry
from nversion.study.units.trained import TrainedVersion
from nversion.study.units.training import WEIGHTS, TrainNetwork
from nversion.versions.many import version_seed

__all__ = ["study_architectures", "train_versions", "trained"]


def train_versions(study: Study) -> list[TrainedVersion]:
    """Train what is not there yet and return the versions that did not fail, in order."""
    units = [_unit(study, architecture) for architecture in study.architectures]
    entries = study.units.run("training versions", units) if units else {}
    names = [str(architecture.name) for architecture in study.architectures]
    return [
        trained(study, name, unit.folder, entries[unit.name])
        for name, unit in zip(names, units, strict=True)
        if unit.name in entries
    ]


def _unit(study: Study, architecture: Architecture) -> TrainNetwork:
    name = str(architecture.name)
    return TrainNetwork(
        name=f"versions/{name}",
        cost=architecture.multiply_adds(study.data.shape, study.data.classes),
        architecture=architecture,
        shared=study.shared,
        recipe=study.recipe,
        seed=version_seed(study.seed, name),
        precision=study.config.versions.precision,
        device=study.device,
        folder=study.folder.version(name),
    )


def trained(context: Context, name: str, folder: Path, entry: Entry) -> TrainedVersion:
    """Return the version that a training unit left in its folder."""
    return TrainedVersion(name, context.output(entry, folder / WEIGHTS).digest, folder)


def study_architectures(config: StudyConfig, data: Dataset) -> list[Architecture]:
    """Return the architectures of the study's versions, in their order.

    Raises:
        ConfigError: there are fewer than the study wants.
        ArchitectureError: a file cannot be read or does not fit the images.
    """
    section = config.versions
    if section.count == 0:
        return []
    if section.architectures == "catalogue":
        return catalogue(section.count, data.shape, data.classes)
    folder = Path(section.architectures)
    files = sorted(folder.glob("*.txt"), key=lambda path: (len(path.stem), path.stem))
    if len(files) < section.count:
        raise ConfigError(
            f"versions.architectures: {folder} holds {len(files)} .txt files, "
            f"but the study wants {section.count} versions"
        )
    architectures = [Architecture.load(path) for path in files[: section.count]]
    for architecture in architectures:
        architecture.check(data.shape, data.classes)
    return architectures
