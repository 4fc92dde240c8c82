"""A replication as a whole.

The versions are asked once; networks are trained and measured in any order, each is kept in a small
file, and what is there already is not made again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.errors import ArtefactError, InputError
from nversion.files import TEMPORARY_FOLDER, read_object, read_tensors, sha256_of_file
from nversion.modes import ordinary
from nversion.progress import progress_bar
from nversion.replication.arms import Arm
from nversion.replication.network import Material, ask_version, measure_network
from nversion.replication.settings import ReplicationFolder, Settings
from nversion.replication.summary import Replication, summarise
from nversion.replication.teacher import Teacher
from nversion.replication.teachers import teacher_in
from nversion.workers import Failure, Task, Where

__all__ = ["Work", "planned", "replicate", "summed"]


@ordinary()
def replicate(
    settings: Settings,
    data: Dataset,
    versions: Sequence[Path | Teacher],
    out: str | Path,
    *,
    adversarial: Path | None = None,
    where: Where | None = None,
) -> Replication:
    """Train and measure all networks of a replication that are not there yet, and sum them up.

    Args:
        settings: what is trained and measured.
        data: the dataset.
        versions: folders of the teacher's versions, or what :func:`teacher_in` made of them.
        out: the folder that is filled; what it holds of the same settings is kept.
        adversarial: folder of an adversarial set, for the row of that name.
        where: workers, engine and address; by default one worker a core.

    Raises:
        InputError: there are no versions, or one does not fit the data.
        ArtefactError: a file is damaged.
    """
    if not versions:
        raise InputError("a replication needs the versions of a program as teachers")
    teachers = tuple(one if isinstance(one, Teacher) else teacher_in(one) for one in versions)
    weights = [teacher.weights for teacher in teachers]
    names = [teacher.name for teacher in teachers]
    if len(set(names)) < len(names):
        raise InputError(f"two versions that are to teach have one name: {', '.join(names)}")
    folder = ReplicationFolder(Path(out))
    where = where or Where.of("auto", "auto", "", "cpu")
    wanted = planned(settings, folder, data.digest, weights, adversarial)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_FOLDER) as shared:
        material = Material(
            SharedDataset.stored(data, Path(shared)),
            teachers,
            tuple(folder.outputs(name) for name in names),
            adversarial,
        )
        _ask(material, where)
        failures = _measure(settings, material, wanted, where)
    return summed(settings, folder, names, wanted, failures)


def summed(
    settings: Settings,
    folder: ReplicationFolder,
    names: Sequence[str],
    wanted: Sequence[Work],
    failures: Sequence[str] = (),
) -> Replication:
    """Sum up the networks that are there, write that down, and return it.

    Args:
        settings: what was trained and measured.
        folder: that was filled.
        names: of the versions that taught.
        wanted: all networks; those that are not there are left out.
        failures: of these, with what was said.
    """
    found = [read_object(work.path) for work in wanted if _made(work)]
    replication = summarise(settings, names, found, failures)
    replication.save(folder.summary)
    return replication


@dataclasses.dataclass(frozen=True)
class Work:
    """A network that is trained and measured.

    Attributes:
        arm: how it is trained.
        repeat: of which pair it is.
        digest: of all that its numbers depend on.
        path: of its file.
    """

    arm: Arm
    repeat: int
    digest: str
    path: Path


def planned(
    settings: Settings,
    folder: ReplicationFolder,
    data: str,
    weights: Sequence[str],
    adversarial: Path | None,
) -> list[Work]:
    """Return all networks of a replication, pair after pair.

    Args:
        settings: what is trained and measured.
        folder: that is filled.
        data: the dataset's digest.
        weights: SHA-256 of the versions' weights, in their order.
        adversarial: folder of the adversarial set; None where there is none.

    Raises:
        ArtefactError: the adversarial set cannot be read.
    """
    material = [data]
    if adversarial is not None:
        material.append(sha256_of_file(adversarial / "images.safetensors"))
    material += weights
    return [
        Work(arm, repeat, settings.digest(arm, material), folder.network(arm.name, repeat))
        for repeat in range(settings.repeats)
        for arm in settings.arms
    ]


def _measure(
    settings: Settings, material: Material, wanted: Sequence[Work], where: Where
) -> list[str]:
    """Make the networks' files that are not there, pair after pair; return what failed."""
    missing = [work for work in wanted if not _made(work)]
    failures: list[str] = []
    with (
        where.pool(len(missing)) as pool,
        progress_bar("training and measuring networks", len(wanted)) as advance,
    ):
        for _ in range(len(wanted) - len(missing)):
            advance()
        tasks: Iterator[Task] = (
            (
                measure_network,
                {"settings": settings, "material": material, **_fields(work)},
            )
            for work in missing
        )
        with contextlib.closing(pool.run(tasks)) as results:
            for index, result in results:
                if isinstance(result, Failure):
                    work = missing[index]
                    failures.append(f"{work.arm.name}, repeat {work.repeat}: {result}")
                advance()
    return failures


def _fields(work: Work) -> dict[str, Any]:
    return {field.name: getattr(work, field.name) for field in dataclasses.fields(work)}


def _ask(material: Material, where: Where) -> None:
    """Store each version's softmax outputs on the training images, unless they are there.

    Raises:
        ArtefactError: a version cannot be read, or does not fit the images.
    """
    missing = [
        (teacher, file, {"weights": teacher.weights, "data": material.shared.digest})
        for teacher, file in zip(material.teachers, material.outputs, strict=True)
    ]
    missing = [one for one in missing if not _asked(*one[1:])]
    with (
        where.pool(len(missing)) as pool,
        progress_bar("asking the versions", len(missing)) as advance,
    ):
        tasks: Iterator[Task] = (
            (
                ask_version,
                {"shared": material.shared, "teacher": teacher, "path": file, "facts": facts},
            )
            for teacher, file, facts in missing
        )
        with contextlib.closing(pool.run(tasks)) as results:
            for index, result in results:
                if isinstance(result, Failure):
                    raise ArtefactError(
                        f"{missing[index][0].name}: cannot be asked, and so not teach: {result}"
                    )
                advance()


def _asked(file: Path, facts: dict[str, str]) -> bool:
    if not file.is_file():
        return False
    try:
        _, header = read_tensors(file)
    except ArtefactError:
        return False
    return {key: header.get(key) for key in facts} == facts


def _made(work: Work) -> bool:
    if not work.path.is_file():
        return False
    try:
        return bool(read_object(work.path).get("digest") == work.digest)
    except ArtefactError:
        return False
