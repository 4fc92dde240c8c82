"""The ledger: which units of a study's work are done, from what, and what they left.

A unit is a piece of work with a name, a digest of everything its result depends on (configuration,
inputs, code) and the files it writes. When it ends, a line in the journal records the digest, the
SHA-256 of each output and the time it took; it is written after the outputs, so that a unit that
was interrupted anywhere is simply not there. A unit is done if its entry has the same digest and
its outputs still have the same checksums; anything else is made again.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from nversion.errors import ArtefactError
from nversion.files import digest_of, noticing_a_full_disk, sha256_of_file, write_text
from nversion.reading import checked, parse_json, read_bytes
from nversion.study.closure import code_digest
from nversion.study.units.base import Unit

__all__ = ["Check", "Entry", "Ledger"]

HASHED_AT_ONCE = 4
"""Files that are checked at the same time: hashing leaves Python's lock alone."""

JOURNAL_LIMIT = 1 << 30
"""The most bytes of a journal: three million units."""

CHECK_DIGITS = 16
"""Hexadecimal digits of a line's own checksum."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the ledger knows of a unit that ended.

    Attributes:
        digest: of the unit.
        outputs: SHA-256 by file.
        seconds: wall-clock time of the unit.
        error: why it failed for good (a version that does not learn), or None.
        wall: its share of the study's wall-clock time, which several workers make smaller: from
            when the unit before it ended, or its stage began, to its own end.
        stage: of the study, that it belongs to.
    """

    digest: str
    outputs: dict[str, str]
    seconds: float
    error: str | None
    wall: float = 0.0
    stage: str = ""


@dataclasses.dataclass(frozen=True)
class Check:
    """What the ledger says of a unit.

    Attributes:
        entry: its entry if it is done, else None.
        state: "done", "new", "changed" (made from other inputs) or "damaged".
        reason: what is wrong with a damaged one's files.
    """

    entry: Entry | None
    state: str
    reason: str = ""


class Ledger:
    """The entries of one study's units: a journal, one line of JSON each, under ``.units/``.

    The journal is only ever added to, and a line counts if it is whole and its checksum is right;
    the last one for a unit holds. So a kill or a full disk costs the line that was being written,
    and a damaged line costs its own unit. It is written anew, without the lines that no longer
    hold, when most do not. One process at a time may have it open (the study's lock sees to that).

    Attributes:
        damaged: lines that were left out because they could not be read.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only
        self._path = folder / ".units" / "journal.jsonl"
        self._entries: dict[str, Entry] = {}
        self.damaged = 0
        self._open()

    def _open(self) -> None:
        if not self._path.exists():
            return
        content = read_bytes(self._path, JOURNAL_LIMIT)
        lines = content.split(b"\n")
        torn = lines.pop()
        for line in lines:
            found = _read_line(line)
            if found is None:
                self.damaged += 1
            else:
                self._entries.pop(found[0], None)
                self._entries[found[0]] = found[1]
        stale = torn or self.damaged or len(lines) > 2 * len(self._entries) + 100
        if stale and not self._read_only:
            text = "".join(_line(name, entry) for name, entry in self._entries.items())
            write_text(self._path, text)

    def check(self, unit: Unit) -> Check:
        """Return whether a unit is done: made from the same inputs, and its outputs intact."""
        return self._check(unit, self.digest(unit))

    def digest(self, unit: Unit) -> str:
        """Return the SHA-256 of everything that a unit's result depends on."""
        code = code_digest(type(unit), *unit.uses())
        return digest_of(unit.name, unit.inputs(), self._outputs(unit), code)

    def _outputs(self, unit: Unit) -> list[str]:
        return [path.relative_to(self._folder).as_posix() for path in unit.outputs()]

    def _check(self, unit: Unit, digest: str) -> Check:
        entry = self._entries.get(unit.name)
        if entry is None:
            return Check(None, "new")
        if entry.digest != digest:
            return Check(None, "changed")
        # What the journal names is no path to follow: a unit has the outputs that it has.
        if set(entry.outputs) != (set() if entry.error else set(self._outputs(unit))):
            return Check(None, "damaged", f"the journal names other outputs of {unit.name}")
        for output, checksum in entry.outputs.items():
            path = self._folder / output
            if not path.is_file():
                return Check(None, "damaged", f"{output} is missing")
            if sha256_of_file(path) != checksum:
                return Check(None, "damaged", f"{output} does not match its checksum")
        return Check(entry, "done")

    def check_all(self, units: Sequence[Unit]) -> Iterator[Check]:
        """Check units in order; files are read and hashed several at a time."""
        # Digests are made here, as the threads would all read the same code.
        digests = [self.digest(unit) for unit in units]
        with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
            yield from pool.map(self._check, units, digests)

    def entries(self) -> Mapping[str, Entry]:
        """Return what ended, well or for good, whether it is still up to date, by unit."""
        return MappingProxyType(self._entries)

    def record(
        self,
        unit: Unit,
        seconds: float,
        *,
        error: str | None = None,
        wall: float = 0.0,
        stage: str = "",
    ) -> Entry:
        """Enter a unit that ended: with its outputs, or with the error it failed with for good.

        Args:
            unit: that ended.
            seconds: it took.
            error: why it failed, or None.
            wall: its share of the study's wall-clock time.
            stage: of the study, that it belongs to.

        Raises:
            DiskFullError: there is no room for the entry.
        """
        names = [] if error else self._outputs(unit)
        outputs = {name: sha256_of_file(self._folder / name) for name in names}
        entry = Entry(self.digest(unit), outputs, seconds, error, wall, stage)
        self._append(_line(unit.name, entry))
        self._entries[unit.name] = entry
        return entry

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer: one would keep what did not fit, and write it when it is closed.
        with noticing_a_full_disk(self._path), self._path.open("ab", buffering=0) as file:
            before, rest = file.tell(), line.encode()
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, before)
                raise

    def record_traceback(self, unit: Unit, text: str) -> None:
        """Keep where a unit failed, for whoever looks for it."""
        write_text(self._folder / ".units" / "errors" / f"{unit.name}.txt", text)


def _line(name: str, entry: Entry) -> str:
    values = {"unit": name, **dataclasses.asdict(entry)}
    return json.dumps({**values, "check": digest_of(values)[:CHECK_DIGITS]}) + "\n"


def _read_line(line: bytes) -> tuple[str, Entry] | None:
    """Return the unit's name and entry, or None if the line is not as it was written."""
    try:
        values = parse_json(line, "the journal")
        check = values.pop("check")
        if digest_of(values)[:CHECK_DIGITS] != check:
            return None
        unit = str(values.pop("unit"))
        # A journal from before the share was put down knows no better than the unit's own time.
        values.setdefault("wall", values["seconds"])
        values.setdefault("stage", "")
        return unit, checked(Entry, values, "the journal")
    except (ArtefactError, TypeError, KeyError, AttributeError):
        return None
