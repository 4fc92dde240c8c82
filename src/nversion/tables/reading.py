"""Reading a table, by the ending of its file."""

from __future__ import annotations

from pathlib import Path

from nversion.errors import DatasetError
from nversion.tables.archive import read_npz
from nversion.tables.columns import read_csv, read_parquet
from nversion.tables.table import Table

__all__ = ["ENDINGS", "read_table"]

READERS = {".npz": read_npz, ".csv": read_csv, ".parquet": read_parquet}

ENDINGS = tuple(READERS)
"""The endings of files that can be read."""


def read_table(path: str | Path) -> Table:
    """Return the table in a file.

    Args:
        path: ends in .npz (:mod:`nversion.tables.archive` says what is in it), .csv or .parquet
            (:mod:`nversion.tables.columns`).

    Raises:
        DatasetError: there is no such file, or it is malformed; the message names the line or the
            array and says what would be right.
        MissingExtraError: Parquet without pyarrow.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: a table ends in {', '.join(ENDINGS)}")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DatasetError(f"{path}: {what}")
    return reader(path)
