"""Records that are one safetensors file each: tensors, facts about them, and a digest of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from nversion.errors import ArtefactError, InputError
from nversion.files import digest_of, read_tensors, write_tensors
from nversion.reading import checked, printable

__all__ = ["check_columns", "made_of", "read_record", "write_record"]

T = TypeVar("T")


def check_columns(
    record: object, columns: Mapping[str, torch.dtype], count: int, of: str = "images"
) -> None:
    """Raise unless a record's attributes are the tensors that they should be.

    Args:
        record: what has the attributes.
        columns: their dtypes, by name. All are one value a row, but for one called "images".
        count: how many rows there are.
        of: what a row is about, for messages.

    Raises:
        InputError: one has another dtype or shape.
    """
    for name, dtype in columns.items():
        tensor = getattr(record, name)
        if not isinstance(tensor, Tensor) or tensor.dtype != dtype:
            found = getattr(tensor, "dtype", type(tensor).__name__)
            raise InputError(f"{name} must be a tensor of {dtype}, not {found}")
        rows = tensor.shape[:1] if name == "images" else tensor.shape
        if tuple(rows) != (count,):
            raise InputError(
                f"{name} must have one row for each of {count} {of}, not the shape "
                f"{list(tensor.shape)}"
            )


def write_record(path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a record, atomically.

    Args:
        path: the file.
        facts: JSON values by name; "kind" says what the record is.
        tensors: by name.
    """
    write_tensors(path, dict(tensors), {**facts, "digest": digest_of(facts, tensors)})


def read_record(
    path: Path, kind: str, header: type[Any], what: str, *, beside: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the facts (without "kind") and tensors of a record, together.

    Args:
        path: the file.
        kind: of the record.
        header: a dataclass with a field for each fact, and for the digest.
        what: it is, with its article, for messages.
        beside: names of facts that are not part of the record, and so of its digest.

    Raises:
        ArtefactError: the file is missing or damaged, or something else.
    """
    tensors, metadata = read_tensors(path)
    facts = {name: metadata[name] for name in metadata if name not in ("digest", *beside)}
    if facts.get("kind") != kind:
        found = printable(str(facts.get("kind") or "unknown"))
        raise ArtefactError(f"{path}: not {what}, but {found}")
    told = checked(header, metadata, f"{path}: not {_complete(what)}")
    if digest_of(facts, tensors) != metadata.get("digest"):
        raise ArtefactError(f"{path}: the content does not match its digest; make it again")
    names = [field.name for field in dataclasses.fields(header)]
    return {name: getattr(told, name) for name in names if name not in ("kind", "digest")} | tensors


def made_of(fields: Mapping[str, Any], make: Callable[..., T], path: Path, what: str) -> T:
    """Return what a record's facts and tensors make.

    Args:
        fields: that :func:`read_record` read.
        make: the class of the record.
        path: the file, for messages.
        what: it is, with its article, for messages.

    Raises:
        ArtefactError: they are not all that it takes, or do not fit together.
    """
    try:
        return make(**fields)
    except (TypeError, InputError) as error:
        raise ArtefactError(f"{path}: not {_complete(what)} ({error})") from error


def _complete(what: str) -> str:
    """Return what a damaged record is not: "an attack run" becomes "a complete attack run"."""
    return f"a complete {what.partition(' ')[2]}"
