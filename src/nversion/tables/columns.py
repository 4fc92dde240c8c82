"""A table as columns, in CSV (UTF-8, with a line of heads) or Parquet.

One row for each image. The column ``label`` has its class. Each other column is a version's, and
has the class that it names: whole numbers, where -1 is an abstention, or names. Or versions give
probabilities: then each of them has a column for each class, headed ``VERSION:CLASS``, and the
label is one of these classes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nversion.errors import DatasetError, MissingExtraError
from nversion.extras import how_to_install
from nversion.naming import did_you_mean
from nversion.reading import shortened
from nversion.tables.table import Table, coded, unique_names

__all__ = ["read_csv", "read_parquet"]

LABEL = "label"

Columns = Mapping[str, Sequence[Any]]

SUM_TOLERANCE = 1e-3


def read_csv(path: Path) -> Table:
    """Return the table in a CSV file.

    Raises:
        DatasetError: as :func:`nversion.tables.read_table` says.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            heads = [head.strip() for head in next(reader, [])]
            _check_heads(heads, path)
            rows, lines = [], []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(heads):
                    raise DatasetError(
                        f"{path}, line {reader.line_num}: {len(row)} cells, but there are "
                        f"{len(heads)} columns"
                    )
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not readable as UTF-8 text ({error})") from None
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: not readable as CSV ({error})"
        ) from None
    if not rows:
        raise DatasetError(f"{path}: has no rows below its heads")
    columns = {
        head: [cell.strip() for cell in cells]
        for head, cells in zip(heads, zip(*rows, strict=True), strict=True)
    }
    return _table(columns, path, [f"{path}, line {line}" for line in lines])


def read_parquet(path: Path) -> Table:
    """Return the table in a Parquet file.

    Raises:
        DatasetError: as :func:`nversion.tables.read_table` says.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow; save the table as CSV, or {how_to_install('parquet')}"
        ) from error
    try:
        found = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path}: not readable as Parquet ({reason})") from error
    heads = [str(head) for head in found.column_names]
    _check_heads(heads, path)
    if found.num_rows == 0:
        raise DatasetError(f"{path}: has no rows")
    columns = {}
    for head, column in zip(heads, found.columns, strict=True):
        if column.null_count:
            raise DatasetError(f"{path}: column {shortened(head)} has empty cells; -1 abstains")
        columns[head] = column.to_pylist()
    return _table(columns, path, [f"{path}, row {row + 1}" for row in range(found.num_rows)])


def _check_heads(heads: Sequence[str], path: Path) -> None:
    if LABEL not in heads:
        hint = next(
            (did_you_mean(head, [LABEL]) for head in heads if did_you_mean(head, [LABEL])), ""
        )
        shown = ", ".join(heads[:6]) + (", ..." if len(heads) > 6 else "")
        raise DatasetError(f"{path}: has no column '{LABEL}'{hint}; it has {shown or 'none'}")
    if len(heads) == 1:
        raise DatasetError(f"{path}: has no column beside '{LABEL}'; each version has one")
    unique_names(heads, str(path))


def _table(columns: Columns, path: Path, places: Sequence[str]) -> Table:
    heads = [head for head in columns if head != LABEL]
    several = [head for head in heads if ":" in head]
    if not several:
        labels = _classes(columns[LABEL], LABEL, places)
        rows = [_classes(columns[head], head, places) for head in heads]
        mixed = [row for row in [labels, *rows] if row.dtype.kind == "U"]
        if (
            mixed
            and any(row.dtype.kind == "i" for row in rows if len(rows))
            and labels.dtype.kind == "U"
        ):
            # A version that names only numbers, beside names: they are names as well.
            rows = [row.astype(np.str_) for row in rows]
        classes, truth, found = coded(labels, np.stack(rows), str(path))
        return Table(str(path), tuple(heads), classes, truth, found)
    if len(several) < len(heads):
        plain = next(head for head in heads if ":" not in head)
        raise DatasetError(
            f"{path}: column {shortened(plain)} is a version's class, but {shortened(several[0])} "
            "a probability; a table has one or the other"
        )
    return _probabilities(columns, heads, path, places)


def _probabilities(
    columns: Columns, heads: Sequence[str], path: Path, places: Sequence[str]
) -> Table:
    pairs = [head.rpartition(":") for head in heads]
    names = list(dict.fromkeys(version for version, _, _ in pairs))
    classes = list(dict.fromkeys(one for _, _, one in pairs))
    missing = [f"{v}:{c}" for v in names for c in classes if f"{v}:{c}" not in columns]
    if missing:
        raise DatasetError(
            f"{path}: lacks the column {shortened(missing[0])}; each version has one for each class"
        )
    outputs = np.stack(
        [
            np.stack([_numbers(columns[f"{v}:{c}"], f"{v}:{c}", places) for c in classes], axis=1)
            for v in names
        ]
    )
    off = np.abs(outputs.sum(axis=2) - 1.0) > SUM_TOLERANCE
    if off.any():
        version, row = (int(place[0]) for place in np.nonzero(off))
        raise DatasetError(
            f"{places[row]}: the probabilities of {shortened(names[version])} sum to "
            f"{outputs[version, row].sum():.4g}, not 1"
        )
    known = {name: place for place, name in enumerate(classes)}
    truth = []
    for place, label in zip(places, columns[LABEL], strict=True):
        if str(label) not in known:
            listed = ", ".join(classes[:12])
            raise DatasetError(f"{place}: label {shortened(label)} is none of the classes {listed}")
        truth.append(known[str(label)])
    return Table(str(path), tuple(names), tuple(classes), np.array(truth, dtype=np.int64), outputs)


def _classes(cells: Sequence[Any], head: str, places: Sequence[str]) -> npt.NDArray[Any]:
    """Return a column of classes as whole numbers if all are, else as texts."""
    texts = []
    for place, cell in zip(places, cells, strict=True):
        if isinstance(cell, float) or not isinstance(cell, str | int) or cell == "":
            what = "is empty" if cell == "" else f"has {shortened(cell)}"
            raise DatasetError(
                f"{place}: column {shortened(head)} {what}; give a class, a whole number or a "
                "name, or -1 for an abstention"
            )
        texts.append(str(cell))
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        return np.array(texts, dtype=np.str_)
    if any(abs(number) > 2**31 for number in numbers):
        return np.array(texts, dtype=np.str_)
    return np.array(numbers, dtype=np.int64)


def _numbers(cells: Sequence[Any], head: str, places: Sequence[str]) -> npt.NDArray[np.float64]:
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            value = float(cell)
        except (TypeError, ValueError):
            value = float("nan")
        if not 0.0 <= value <= 1.0:
            raise DatasetError(
                f"{places[row]}: column {shortened(head)} has {shortened(cell)}, which is no "
                "probability from 0 to 1"
            )
        found[row] = value
    return found
