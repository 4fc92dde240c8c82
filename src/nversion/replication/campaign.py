"""A replication as a whole.

The versions are asked once; networks are trained and measured in any order, each is kept in a small
file, and what is there already is not made again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.errors import ArtefactError, InputError
from nversion.files import read_object, sha256_of_file, write_tensors
from nversion.models import evaluate, frozen
from nversion.modes import ordinary
from nversion.program import Outputs
from nversion.progress import progress_bar
from nversion.replication.network import Material, measure_network
from nversion.replication.settings import ReplicationFolder, Settings
from nversion.replication.summary import Replication, summarise
from nversion.versions import Version
from nversion.workers import Failure, Task, Where

__all__ = ["replicate"]


@ordinary()
def replicate(
    settings: Settings,
    data: Dataset,
    versions: Sequence[Path],
    out: str | Path,
    *,
    adversarial: Path | None = None,
    where: Where | None = None,
) -> Replication:
    """Train and measure all networks of a replication that are not there yet, and sum them up.

    Args:
        settings: what is trained and measured.
        data: the dataset.
        versions: folders of the teacher's versions.
        out: the folder that is filled; what it holds of the same settings is kept.
        adversarial: folder of an adversarial set, for the row of that name.
        where: workers, engine and address; by default one worker a core.

    Raises:
        InputError: there are no versions, or one does not fit the data.
        ArtefactError: a file is damaged.
    """
    if not versions:
        raise InputError("a replication needs the versions of a program as teachers")
    folder = ReplicationFolder(Path(out))
    where = where or Where.of("auto", "auto", "", "cpu")
    names = [path.name for path in versions]
    weights = [sha256_of_file(path / "weights.safetensors") for path in versions]
    _ask(folder, data, versions, weights)
    digests = [data.digest, *weights]
    if adversarial is not None:
        digests.append(sha256_of_file(adversarial / "images.safetensors"))
    wanted = [
        (arm, repeat, settings.digest(arm, digests), folder.network(arm.name, repeat))
        for repeat in range(settings.repeats)
        for arm in settings.arms
    ]
    missing = [work for work in wanted if not _made(work[3], work[2])]
    failures: list[str] = []
    with (
        _shared(data, folder) as shared,
        where.pool(len(missing)) as pool,
        progress_bar("training and measuring networks", len(wanted)) as advance,
    ):
        for _ in range(len(wanted) - len(missing)):
            advance()
        outputs = tuple(folder.outputs(name) for name in names)
        material = Material(shared, tuple(versions), outputs, adversarial)
        tasks: Iterator[Task] = (
            (
                measure_network,
                {
                    "settings": settings,
                    "arm": arm,
                    "repeat": repeat,
                    "material": material,
                    "digest": digest,
                    "path": path,
                },
            )
            for arm, repeat, digest, path in missing
        )
        with contextlib.closing(pool.run(tasks)) as results:
            for index, result in results:
                if isinstance(result, Failure):
                    arm, repeat, *_ = missing[index]
                    failures.append(f"{arm.name}, repeat {repeat}: {result}")
                advance()
    found = [read_object(path) for *_, digest, path in wanted if _made(path, digest)]
    replication = summarise(settings, names, found, failures)
    replication.save(folder.summary)
    return replication


def _ask(
    folder: ReplicationFolder, data: Dataset, versions: Sequence[Path], weights: Sequence[str]
) -> None:
    """Store each version's softmax outputs on the training images, unless they are there."""
    with progress_bar("asking the versions", len(versions)) as advance:
        for path, digest in zip(versions, weights, strict=True):
            file = folder.outputs(path.name)
            facts = {"weights": digest, "data": data.digest}
            if not _asked(file, facts):
                model = Version.load(path).model
                with frozen(model):
                    logits = evaluate(model, data.train.images)
                outputs = Outputs.from_logits([logits]).probabilities[0]
                write_tensors(file, {"probabilities": outputs}, facts)
            advance()


def _asked(file: Path, facts: dict[str, str]) -> bool:
    from nversion.files import read_tensors

    if not file.is_file():
        return False
    try:
        _, header = read_tensors(file)
    except ArtefactError:
        return False
    return {key: header.get(key) for key in facts} == facts


def _made(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    try:
        return bool(read_object(path).get("digest") == digest)
    except ArtefactError:
        return False


@contextlib.contextmanager
def _shared(data: Dataset, folder: ReplicationFolder) -> Iterator[SharedDataset]:
    yield SharedDataset.stored(data, folder.root / "data")
