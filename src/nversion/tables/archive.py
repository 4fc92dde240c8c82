"""A table as an ``.npz`` file.

It holds ``labels`` [count], and either ``probabilities`` or ``logits``, floating [versions, count,
classes], or ``predictions`` [versions, count] (whole numbers, -1 for an abstention, or names).
``names`` [versions] are the versions', if they are to have any.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nversion.datasets.archive import read_arrays
from nversion.errors import DatasetError, InputError
from nversion.measures import as_answers
from nversion.naming import did_you_mean
from nversion.tables.table import Table, coded, unique_names

__all__ = ["read_npz"]

SCORES = ("probabilities", "logits")
KINDS = (*SCORES, "predictions")


def read_npz(path: Path) -> Table:
    """Return the table in an ``.npz`` file.

    Raises:
        DatasetError: as :func:`nversion.tables.read_table` says.
    """
    arrays, held = read_arrays(path, ("labels", "names", *KINDS))
    given = [kind for kind in KINDS if kind in arrays]
    if "labels" not in arrays or len(given) != 1:
        raise DatasetError(f"{path}: {_missing('labels' in arrays, given, held)}")
    labels, outputs = arrays["labels"], arrays[given[0]]
    count = len(labels) if labels.ndim == 1 else -1
    dimensions = 3 if given[0] in SCORES else 2
    if outputs.ndim != dimensions or outputs.shape[1] != count or 0 in outputs.shape:
        shape = "[versions, count, classes]" if dimensions == 3 else "[versions, count]"
        raise DatasetError(
            f"{path}: {given[0]} must be {shape} and labels [count], not {list(outputs.shape)} and "
            f"{list(labels.shape)}"
        )
    names = _names(arrays.get("names"), len(outputs), path)
    if given[0] == "predictions":
        classes, truth, places = coded(
            _plain(labels, "labels", path), _plain(outputs, given[0], path), str(path)
        )
        return Table(str(path), names, classes, truth, places)
    try:
        answers = as_answers(outputs, labels)
    except InputError as error:
        raise DatasetError(f"{path}: {given[0]}: {error}") from error
    table = Table(
        str(path),
        names,
        tuple(str(place) for place in range(outputs.shape[2])),
        answers.labels,
        outputs,
    )
    if given[0] == "probabilities" and not table.probabilities:
        raise DatasetError(
            f"{path}: probabilities must lie in [0, 1] and sum to 1 over the classes; call them "
            "logits if they are that"
        )
    return table


def _plain(values: npt.NDArray[Any], name: str, path: Path) -> npt.NDArray[Any]:
    if values.dtype.kind not in "iuU":
        raise DatasetError(f"{path}: {name} must be whole numbers or names, not {values.dtype}")
    return values.astype(np.int64) if values.dtype.kind == "u" else values


def _names(given: npt.NDArray[Any] | None, versions: int, path: Path) -> tuple[str, ...]:
    if given is None:
        return tuple(f"version {n + 1}" for n in range(versions))
    if given.shape != (versions,) or given.dtype.kind != "U":
        raise DatasetError(
            f"{path}: names must be texts [{versions}], one for each version, not {given.dtype} "
            f"{list(given.shape)}"
        )
    return unique_names(given.tolist(), str(path))


def _missing(labelled: bool, given: list[str], held: list[str]) -> str:
    if len(given) > 1:
        return f"holds {' and '.join(given)}; keep one of them"
    wanted = "labels" if not labelled else "one of " + ", ".join(KINDS)
    known = ["labels"] if not labelled else list(KINDS)
    hint = next((did_you_mean(name, known) for name in held if did_you_mean(name, known)), "")
    return f"lacks {wanted}{hint}; it holds {', '.join(held) or 'nothing'}"
