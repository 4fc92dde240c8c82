"""Files: written whole or not at all, and identified by what they hold.

Every artefact is written to a temporary file in its own folder and renamed into place, so that an
interrupted run leaves either the old file or the new one, never half of one (``rename`` replaces
atomically on POSIX file systems). What a killed process leaves beside it goes away when the file is
written the next time. Digests are SHA-256.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from nversion.errors import ArtefactError, DiskFullError
from nversion.reading import JSON_LIMIT, parse_json, read_text, shortened

__all__ = [
    "TEMPORARY_FOLDER",
    "digest_of",
    "noticing_a_full_disk",
    "read_json",
    "read_object",
    "read_rows",
    "read_tensor",
    "read_tensors",
    "remove_leftovers",
    "replacing",
    "sha256_of_file",
    "write_array",
    "write_json",
    "write_tensors",
    "write_text",
]


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, a quota is used up, or a file grew past the limit for files."""

NO_ROOM_IN_WORDS = re.compile(rf"os error ({'|'.join(map(str, NO_ROOM))})\b")
"""The same, as libraries written in Rust put it."""

TEMPORARY = ".tmp"

TEMPORARY_FOLDER = "nversion-"
"""What the names of our folders in the system's temporary folder begin with."""

HERE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""This machine, in the names of temporary files: several may write to one storage."""

OWNED = re.compile(rf"\.{HERE}-(\d+)-[^.]*{re.escape(TEMPORARY)}$")
"""The end of such a name: this machine, the process that writes the file, and random letters."""

TENSOR_TYPES = ("F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")
"""The types of tensors that are read, as safetensors calls them."""


@contextlib.contextmanager
def noticing_a_full_disk(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk into one that says so and names `path`.

    Raises:
        DiskFullError: a write in the block found no room.
    """
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        full = getattr(error, "errno", None) in NO_ROOM or NO_ROOM_IN_WORDS.search(str(error))
        if not full:
            raise
        place, elsewhere = path.parent, ""
        if place.name.startswith(TEMPORARY_FOLDER):
            # The folder is gone by the time that the message is read.
            place, elsewhere = place.parent, ", or set TMPDIR to a folder with more of it,"
        reason = getattr(error, "strerror", None) or error
        raise DiskFullError(
            f"{path}: no room to write it ({reason}); what was written before is whole; free some "
            f"space in {place}{elsewhere} and run the command again"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it replaces `path`, else it is removed.

    The file's content is flushed to disk before the rename, so that a crash of the machine cannot
    leave an empty file under the final name.

    Raises:
        DiskFullError: there is no room for it.
    """
    with noticing_a_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        prefix = f".{path.name}.{HERE}-{os.getpid()}-"
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=TEMPORARY)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _remove_orphans(path: Path) -> None:
    """Remove what was to become `path` in processes of this machine that were killed since."""
    for other in path.parent.glob(f".{glob.escape(path.name)}.*{TEMPORARY}"):
        owner = OWNED.search(other.name)
        if owner and not _runs(int(owner[1])):
            other.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Return whether a process runs on this machine, or may; without POSIX there is no asking."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):
        return True
    return True


def remove_leftovers(folder: Path) -> int:
    """Remove what :func:`replacing` left in `folder` when its process was killed; return how many.

    Call it only where nobody is writing.
    """
    if not folder.is_dir():
        return 0
    leftovers = [path for path in folder.glob(f".*{TEMPORARY}") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically; line ends stay as they are."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one array to `path` as ``.npy``, to be mapped into memory; not atomically.

    ``numpy.save`` hands files to C, whose errors do not say that the disk is full.

    Raises:
        DiskFullError: there is no room for it.
    """
    array = np.asarray(array, order="C")
    try:
        with noticing_a_full_disk(path), path.open("wb") as file:
            header = np.lib.format.header_data_from_array_1_0(array)
            np.lib.format.write_array_header_1_0(file, header)
            file.write(array.data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically. NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of no more than `JSON_LIMIT` bytes.

    Raises:
        ArtefactError: the file is missing, too long or is not JSON.
    """
    return parse_json(read_text(path, JSON_LIMIT), path)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object, which is what all of ours hold.

    Raises:
        ArtefactError: as :func:`read_json`, or it holds another value.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ArtefactError(f"{path}: must hold a JSON object, not a {type(values).__name__}")
    return values


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write named tensors as safetensors, atomically, with `metadata` as JSON in the header."""
    header = {"nversion": json.dumps(dict(metadata or {}), sort_keys=True, allow_nan=False)}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(contiguous, str(temporary), metadata=header)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote: the tensors and the metadata.

    Raises:
        ArtefactError: the file is missing, truncated or is not safetensors, or holds numbers of a
            type that nversion never writes (complex ones, or floats of 8 bits).
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file")
    tensors = {}
    with _opened(path) as file:
        metadata = parse_json((file.metadata() or {}).get("nversion", "{}"), path)
        if not isinstance(metadata, dict):
            raise ArtefactError(f"{path}: its metadata must be a JSON object")
        for name in file.keys():  # noqa: SIM118
            kind = file.get_slice(name).get_dtype()
            if kind not in TENSOR_TYPES:
                raise ArtefactError(
                    f"{path}: {shortened(name)} is of type {kind}, which is not read; the types "
                    f"are {', '.join(TENSOR_TYPES)}"
                )
            tensors[name] = file.get_tensor(name)
    return tensors, metadata


def read_tensor(path: Path, name: str) -> torch.Tensor:
    """Read one tensor that :func:`write_tensors` wrote; errors as in :func:`read_tensors`.

    Raises:
        ArtefactError: also if there is no tensor of that name.
    """
    tensors, _ = read_tensors(path)
    if name not in tensors:
        raise ArtefactError(f"{path}: holds no tensor called {name}; make it again")
    return tensors[name]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            yield file
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(f"{path}: not readable as safetensors ({error})") from error


def read_rows(path: Path, name: str, rows: slice) -> torch.Tensor:
    """Read some rows of one tensor that :func:`write_tensors` wrote, and no more of the file.

    Raises:
        ArtefactError: the file is missing, truncated or is not safetensors, or has no such tensor.
    """
    with _opened(path) as file:
        found: torch.Tensor = file.get_slice(name)[rows]
        return found


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(*parts: Any) -> str:
    """Return a SHA-256 over `parts`: JSON values, bytes, arrays, tensors, sequences and mappings.

    Equal values give equal digests in every process; the type of a part is hashed with it, so
    that ``1`` and ``"1"`` differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, part: Any) -> None:
    if isinstance(part, torch.Tensor):
        part = part.detach().cpu().contiguous().numpy()
    if isinstance(part, np.ndarray):
        digest.update(f"array {part.dtype.str} {part.shape};".encode())
        digest.update(np.ascontiguousarray(part).data)
    elif isinstance(part, bytes):
        digest.update(f"bytes {len(part)};".encode())
        digest.update(part)
    elif isinstance(part, Mapping):
        digest.update(f"mapping {len(part)};".encode())
        for key in sorted(part):
            _feed(digest, key)
            _feed(digest, part[key])
    elif isinstance(part, Sequence) and not isinstance(part, str):
        digest.update(f"sequence {len(part)};".encode())
        for item in part:
            _feed(digest, item)
    elif part is None or isinstance(part, str | int | float | bool):
        text = json.dumps(part)
        digest.update(f"json {len(text)};{text}".encode())
    else:
        raise TypeError(f"digest_of cannot hash a {type(part).__name__}")
