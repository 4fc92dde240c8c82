"""Where stored outputs come from: versions, a study, or a table from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli.images import test_images_of
from nversion.cli.places import is_study, study_versions
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nversion.datasets import TestImages
    from nversion.study.folder import StudyFolder
    from nversion.tables import Table
    from nversion.versions import Version

__all__ = ["SourcesArgument", "check_sources", "is_table", "read_sources"]

TABLES = (".npz", ".csv", ".parquet")

SourcesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCES...",
        help="Folders or files of versions, or a study's folder, or a table of labels and outputs "
        "(.npz, .csv or .parquet).",
    ),
]


def is_table(path: Path) -> bool:
    """Return whether a path is that of a table, by its ending."""
    return path.suffix.lower() in TABLES and not path.is_dir()


def check_sources(sources: Sequence[Path]) -> None:
    """Raise unless there are versions, one study or one table; nothing is loaded.

    Raises:
        InputError: something else, or several at once.
    """
    single = [path for path in sources if is_table(path) or is_study(path)]
    if single and len(sources) > 1:
        what = "a table" if is_table(single[0]) else "a study"
        raise InputError(f"{single[0]}: {what} stands for itself; name nothing else beside it")
    for folder in [] if single else sources:
        check_version(folder)


def read_sources(
    sources: Sequence[Path],
    data: str | None = None,
    data_dir: Path | None = None,
    on: str = "test",
    *,
    inputs: Sequence[str] | None = None,
    trust: bool = False,
) -> Table:
    """Return labels and outputs of versions, a study or a table.

    Args:
        sources: as :func:`check_sources` passes them.
        data: the dataset to evaluate versions on; what they were trained on by default.
        data_dir: where its files are.
        on: "test" images, or the "adversarial" set of a study.
        inputs: how versions from files are fed, as ``--input`` has it.
        trust: whether code that comes with them may run.

    Raises:
        InputError: options that do not go together.
        NVersionError: something cannot be read.
    """
    first = sources[0]
    if on == "adversarial" and not is_study(first):
        raise InputError("--on adversarial: only a study's folder has an adversarial set")
    if is_table(first):
        if data is not None or data_dir is not None:
            raise InputError("--data and --data-dir: a table has its labels; leave them out")
        if inputs or trust:
            raise InputError("--input and --trust: a table holds no networks; leave them out")
        from nversion.tables import read_table

        return read_table(first)
    if on == "adversarial":
        return _adversarial(first)
    found = load_versions(sources, inputs, trust=trust)
    dataset = test_images_of(list(found.values()), data, data_dir)
    return _tested(confirmed(found, dataset), dataset)


def _tested(versions: Mapping[str, Version], dataset: TestImages) -> Table:
    """Return what versions make of test images; what they stored of these is not made again."""
    import numpy as np

    logits = [_logits(version, dataset) for version in versions.values()]
    outputs = np.stack([one.softmax(dim=1).numpy() for one in logits])
    labels, names = dataset.test.labels, dataset.class_names
    return _table(dataset.name, list(versions), outputs, labels, names)


def _logits(version: Version, dataset: TestImages) -> Tensor:
    stored = version.test_logits
    same = version.record.dataset_digest == dataset.digest
    if stored is not None and same and len(stored) == len(dataset.test):
        return stored
    from nversion.models import evaluate, frozen

    with frozen(version.model):
        return evaluate(version.model, dataset.test.images, name=version.name)


def _adversarial(study: Path) -> Table:
    """Return what a study's versions make of its adversarial set, as the study stored it."""
    import numpy as np

    from nversion.adversarial import AdversarialSet
    from nversion.files import read_tensor
    from nversion.study.folder import StudyFolder

    folder = StudyFolder(study)
    names = [path.name for path in study_versions(study)]
    known = [name for name in names if folder.outputs(name).is_file()]
    if not known:
        raise InputError(
            f"{study}: its program has no outputs on the adversarial set; run it first"
        )
    labels = AdversarialSet.load(folder.adversarial).labels
    outputs = [read_tensor(folder.outputs(name), "probabilities").numpy() for name in known]
    if any(len(one) != len(labels) for one in outputs):
        raise InputError(
            f"{study}: the outputs are of another adversarial set; run the study again"
        )
    source, called = f"the adversarial set of {study}", _class_names(folder)
    return _table(source, known, np.stack(outputs), labels, called)


def _class_names(study: StudyFolder) -> list[str]:
    """Return what a study's results say the classes are called; nothing while there are none."""
    from nversion.study.finished import open_study

    if not study.results.is_file():
        return []
    return list(open_study(study.root).results.study.class_names or ())


def _table(
    source: str, names: Sequence[str], outputs: Any, labels: Tensor, classes: Sequence[str]
) -> Table:
    from nversion.tables import Table

    if len(classes) != outputs.shape[2]:
        classes = [str(one) for one in range(outputs.shape[2])]
    return Table(source, tuple(names), tuple(classes), labels.numpy(), outputs)
