"""The ledger: which units of a study's work are done, from what, and what they left.

A unit is a piece of work with a name, a digest of everything its result depends on (configuration,
inputs, code) and the files it writes. When it ends, one small JSON file records the digest, the
SHA-256 of each output and the time it took; it is written after the outputs, so that a unit that
was interrupted anywhere is simply not there. A unit is done if its record has the same digest and
its outputs still have the same checksums; anything else is made again.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nversion.errors import ArtefactError
from nversion.files import digest_of, read_json, sha256_of_file, write_json, write_text

__all__ = ["Entry", "Ledger", "Unit", "code_digest"]


@dataclasses.dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes:
        name: unique in the study, such as "versions/v001".
        function: a module-level function, called with `arguments`.
        arguments: keyword arguments that can be pickled.
        inputs: JSON values and digests that decide the result.
        outputs: the files it writes, relative to the study's folder.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of everything the result depends on."""
        return digest_of(self.name, self.inputs, list(self.outputs))


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the ledger knows of a unit that ended.

    Attributes:
        digest: of the unit.
        outputs: SHA-256 by file.
        seconds: wall-clock time of the unit.
        error: why it failed for good (a version that does not learn), or None.
    """

    digest: str
    outputs: dict[str, str]
    seconds: float
    error: str | None


class Ledger:
    """The records of one study's units, one file each, under ``.units/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path:
        return self._folder / ".units" / f"{name}.json"

    def entry(self, unit: Unit) -> Entry | None:
        """Return the unit's record if it is done: same digest, outputs intact; else None."""
        try:
            entry = Entry(**read_json(self._path(unit.name)))
        except (ArtefactError, TypeError):
            return None
        if entry.digest != unit.digest:
            return None
        for output, checksum in entry.outputs.items():
            path = self._folder / output
            if not path.is_file() or sha256_of_file(path) != checksum:
                return None
        return entry

    def record(self, unit: Unit, seconds: float, error: str | None = None) -> Entry:
        """Enter a unit that ended: with its outputs, or with the error it failed with for good."""
        outputs = {} if error else {o: sha256_of_file(self._folder / o) for o in unit.outputs}
        entry = Entry(unit.digest, outputs, seconds, error)
        write_json(self._path(unit.name), dataclasses.asdict(entry))
        return entry

    def record_traceback(self, unit: Unit, text: str) -> None:
        """Keep where a unit failed, beside the place of its record, for whoever looks for it."""
        write_text(self._path(unit.name).with_suffix(".error.txt"), text)


def run_unit(function: Callable[..., Any], arguments: Mapping[str, Any]) -> float:
    """Run a unit's function in a worker and return the wall-clock seconds it took."""
    started = time.perf_counter()
    function(**arguments)
    return time.perf_counter() - started


@functools.cache
def code_digest(*packages: str) -> str:
    """Return a digest of the code that a stage runs: our packages' sources and the libraries.

    Sources count by what they do: comments, docstrings and layout do not change the digest.

    Args:
        packages: names such as "nversion.attacks"; each with all its modules.
    """
    sources = {}
    for package in packages:
        location = Path(str(import_module(package).__file__))
        files = sorted(location.parent.rglob("*")) if location.name == "__init__.py" else [location]
        for file in files:
            name = f"{package}/{file.relative_to(location.parent).as_posix()}"
            if file.suffix == ".py":
                sources[name] = _meaning(file.read_text("utf-8"))
            elif file.suffix in {".toml", ".txt"}:
                sources[name] = file.read_text("utf-8")
    return digest_of(sources, torch.__version__, np.__version__)


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[0].value.value = ""
    return ast.dump(tree)
