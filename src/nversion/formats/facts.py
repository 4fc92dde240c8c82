"""What a program's file says beside its network: which values are the versions', and how they vote.

A program leaves as one network, whose graph holds the versions side by side and the vote on top.
Other tools see one network. Here the versions are read back one by one, each from the value in the
graph that holds its logits, and vote again by the voter itself: the operators of the vote are not
converted, so that the verdict, its ties and its abstentions, and the certificates are the program's
own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from nversion.errors import ArtefactError
from nversion.reading import JSON_LIMIT, check_name, checked, parse_json, printable

__all__ = ["CLASSES", "FACTS", "ProgramFacts", "names_of", "names_text"]

FACTS = "nversion"
"""Under this key an ONNX file has the facts among its metadata; a .pt2 has a file of this name."""

CLASSES = "nversion-classes"
"""Under this key, likewise, the names of the classes, in the order of the outputs: a JSON list."""

FORM = 1


@dataclasses.dataclass(frozen=True)
class ProgramFacts:
    """How the versions in a file vote; all of it JSON values.

    Attributes:
        versions: their names, in order.
        values: for each, the name of the value in the graph that holds its logits.
        voter: the voter's name.
        options: of the voter.
        weights: one positive number for each version; None for equal ones.
        abstain: when a verdict is withheld, such as "margin=0.2"; None for never.
        quorum: how many versions must have a voice.
    """

    versions: list[str]
    values: list[str]
    voter: str
    options: dict[str, Any]
    weights: list[float] | None
    abstain: str | None
    quorum: int

    def text(self) -> str:
        """Return them as JSON."""
        return json.dumps({"form": FORM, **dataclasses.asdict(self)})

    @classmethod
    def of(cls, text: str | bytes, source: str) -> ProgramFacts:
        """Return what a text says; `source` is the file, for messages.

        Raises:
            ArtefactError: it cannot be read.
        """
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > JSON_LIMIT:
            raise ArtefactError(f"{source}: what it says of its versions is longer than any is")
        values = parse_json(raw, source)
        if not isinstance(values, dict) or values.pop("form", None) != FORM:
            raise ArtefactError(f"{source}: holds a program, but none of form {FORM}")
        facts = checked(cls, values, f"{source}: not a program's")
        names = facts.versions
        for name in names:
            check_name(name, f"a version in {source}")
        if not names or len(set(names)) < len(names) or len(facts.values) != len(names):
            raise ArtefactError(f"{source}: its versions must have a name and a value each")
        return facts

    def value_of(self, version: str | None, source: str) -> str:
        """Return the name of the value that holds a version's logits.

        Raises:
            ArtefactError: no version is named, or one that is not there.
        """
        if version is not None and version in self.versions:
            return self.values[self.versions.index(version)]
        shown = ", ".join(self.versions[:8]) + (", ..." if len(self.versions) > 8 else "")
        wrong = "" if version is None else f", of which none is called {version!r}"
        raise ArtefactError(
            f"{source}: holds a program of {len(self.versions)} versions that vote ({shown})"
            f"{wrong}; nv.load_program reads it, and with key={self.versions[0]} one version is "
            "read of it"
        )


def names_text(names: Sequence[str]) -> str | None:
    """Return the names of classes as JSON; None where they are mere numbers, which say nothing."""
    plain = not names or list(names) == [str(place) for place in range(len(names))]
    return None if plain else json.dumps(list(names))


def names_of(text: str | bytes, source: str) -> tuple[str, ...]:
    """Return the names of classes that a text says; `source` is the file, for messages.

    Raises:
        ArtefactError: it cannot be read.
    """
    if len(text) > JSON_LIMIT:
        raise ArtefactError(f"{source}: what it says of its classes is longer than any is")
    names = parse_json(text, source)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArtefactError(f"{source}: the names of its classes must be a list of texts")
    return tuple(printable(name, keep="") for name in names)
