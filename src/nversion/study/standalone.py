"""An adversarial set from versions that are there already, without a study around it.

The same units of work as in a study's attack stage: same seed, same versions, same set, bit for
bit. The set's folder holds the attack runs too, so that an interrupted build goes on where it
stopped, and another attack is added without running the others again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from nversion.datasets import Dataset
from nversion.device import resolve_device
from nversion.errors import ArtefactError, InputError, StudyError
from nversion.formats.source import Source
from nversion.models import predict
from nversion.study.config import STUDY_FILE
from nversion.study.context import AttackPlan, Context
from nversion.study.folder import StudyFolder
from nversion.study.stages.attacking import BuiltSet, attack_versions, build_set
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.trained import TrainedVersion
from nversion.versions import Version
from nversion.workers import Engine, Where, open_pool

__all__ = ["StandaloneSet", "build_adversarial_set"]


@dataclasses.dataclass(frozen=True)
class StandaloneSet:
    """What :func:`build_adversarial_set` made.

    Attributes:
        built: the set, the table of attacks and the example.
        failures: (unit, error) of every attack run that failed; the rest is in the set.
    """

    built: BuiltSet
    failures: tuple[tuple[str, str], ...]


def build_adversarial_set(
    versions: Sequence[Path | Source],
    plan: AttackPlan,
    data: Dataset,
    out: Path,
    *,
    workers: int | str = "auto",
    engine: Engine = "auto",
    address: str = "",
    say: Callable[[str], None] = lambda message: None,
) -> StandaloneSet:
    """Attack versions and build the adversarial set in a folder of its own, or go on with it.

    Args:
        versions: folders that :meth:`nversion.versions.Version.save` wrote, or other sources.
        plan: which attacks, on how many images, with which seed, by which rule.
        data: the dataset whose test images are attacked.
        out: the set's folder; made if it is not there.
        workers: how many, or "auto" for one per core; changes no result.
        engine: what runs them (see :data:`nversion.workers.Engine`); changes no result.
        address: of a running Ray cluster; "" starts Ray on this machine.
        say: called with a line of text when something begins, is kept or fails.

    Raises:
        InputError: two versions have one name, or a version takes other images than the dataset's.
        ArtefactError: a version cannot be read.
        StudyError: the folder belongs to a study or holds something else, is in use, or no run came
            about.
    """
    _check_folder(out)
    where = Where.of(workers, engine, address, plan.device)
    known = _versions(versions, data)
    folder = StudyFolder(out, adversarial=".")
    with folder.locked(), open_pool(where.workers, where.engine, where.address) as pool:
        units = UnitRunner(folder, pool, say)
        with units.sharing(data) as shared:
            context = Context(folder, data, shared, units, resolve_device(plan.device))
            runs = attack_versions(context, plan, known)
        built = build_set(context, plan, runs)
        return StandaloneSet(built, failures=tuple(units.failures))


def _check_folder(out: Path) -> None:
    """Raise unless `out` is new, empty, or holds a set that was begun or built here."""
    if out.exists() and not out.is_dir():
        raise StudyError(f"{out}: not a folder")
    place = out.resolve()
    study = place.parent if place.name == "adversarial" else place
    if (study / STUDY_FILE).is_file():
        raise StudyError(f"{out}: belongs to a study; name another folder for the set")
    if out.is_dir() and any(out.iterdir()) and not (out / ".units").is_dir():
        raise StudyError(f"{out}: holds other files; name a new folder for the set")


def _versions(
    places: Sequence[Path | Source], data: Dataset
) -> list[tuple[TrainedVersion, Tensor]]:
    """Return the versions, each with whether it classifies each test image correctly."""
    if not places:
        raise InputError("there is no version to attack")
    sources = [place if isinstance(place, Source) else Source(place) for place in places]
    loaded = [source.load() for source in sources]
    names = _names([version.name for version in loaded], [source.path for source in sources])
    known: list[tuple[TrainedVersion, Tensor]] = []
    for source, version, name in zip(sources, loaded, names, strict=True):
        folder, record = source.path, version.record
        if (record.shape, record.classes) != (tuple(data.shape), data.classes):
            raise InputError(
                f"{folder}: takes images of {list(record.shape)} in {record.classes} classes, but "
                f"{data.name} has {list(data.shape)} in {data.classes}"
            )
        foreign = None if version.record.origin is None else source.resolved()
        trained = TrainedVersion(name, source.digest(version), folder.resolve(), foreign)
        known.append((trained, _correct(folder, version, data)))
    return known


def _names(own: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Return names of versions; of those alike, with what they lie in before the name.

    That is the file, for one of several versions in it, else the folder.

    Raises:
        InputError: two are still alike.
    """
    names = []
    for name, path in zip(own, paths, strict=True):
        within = path.stem if paths.count(path) > 1 else path.absolute().parent.name
        names.append(name if own.count(name) == 1 else f"{within}-{name}")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(
                f"{paths[names.index(name)]} and {paths[place]} are both called {name}; a set "
                "needs different names: say one with --input FILE:name=... (Feed(name=...))"
            )
    return names


def _correct(folder: Path, version: Version, data: Dataset) -> Tensor:
    logits = version.test_logits
    if logits is not None and version.record.dataset_digest == data.digest:
        if len(logits) != len(data.test):
            raise ArtefactError(
                f"{folder}: holds logits of {len(logits)} test images, but {data.name} has "
                f"{len(data.test)}: it is damaged; copy the version again, or train it anew"
            )
        predictions = logits.argmax(dim=1)
    else:
        predictions = predict(version.model, data.test.images)
    return predictions == data.test.labels
