"""Records that are one safetensors file each: tensors, facts about them, and a digest of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nversion.errors import ArtefactError
from nversion.files import digest_of, read_tensors, write_tensors
from nversion.reading import checked, printable

__all__ = ["incomplete", "read_record", "write_record"]


def write_record(path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a record, atomically.

    Args:
        path: the file.
        facts: JSON values by name; "kind" says what the record is.
        tensors: by name.
    """
    write_tensors(path, dict(tensors), {**facts, "digest": digest_of(facts, tensors)})


def read_record(path: Path, kind: str, header: type, what: str) -> dict[str, Any]:
    """Return the facts (without "kind") and tensors of a record, together.

    Args:
        path: the file.
        kind: of the record.
        header: a dataclass with a field for each fact, and for the digest.
        what: it is, with its article, for messages.

    Raises:
        ArtefactError: the file is missing or damaged, or something else.
    """
    tensors, metadata = read_tensors(path)
    facts: dict[str, Any] = {name: metadata[name] for name in metadata if name != "digest"}
    if facts.get("kind") != kind:
        found = printable(str(facts.get("kind") or "unknown"))
        raise ArtefactError(f"{path}: not {what}, but {found}")
    checked(header, metadata, f"{path}: not {incomplete(what)}")
    if digest_of(facts, tensors) != metadata.get("digest"):
        raise ArtefactError(f"{path}: the content does not match its digest; make it again")
    del facts["kind"]
    return facts | tensors


def incomplete(what: str) -> str:
    """Return what a damaged record is not: "an attack run" becomes "a complete attack run"."""
    return f"a complete {what.partition(' ')[2]}"
