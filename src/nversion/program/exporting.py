"""Networks and programs leave as ONNX or ``torch.export``, each with a card that says what it is.

The card is Markdown beside the file: what goes in and comes out, where the versions are from, what
was measured when it was written, and what was not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.errors import InputError
from nversion.files import write_text
from nversion.formats.facts import ProgramFacts
from nversion.formats.writing import Versions, Written, exportable, write_network
from nversion.models import check_images, check_labels, predict
from nversion.program.model import Program
from nversion.program.voters.base import VoteCounter
from nversion.recognition import reader
from nversion.versions import Version

__all__ = ["Exported", "export"]

READING = {
    ".onnx": (
        "import onnxruntime\n\n"
        'session = onnxruntime.InferenceSession("{file}")\n'
        '(outputs,) = session.run(None, {{"images": images}})  # numpy.float32'
    ),
    ".pt2": (
        "import torch\n\n"
        'network = torch.export.load("{file}").module()\n'
        "outputs = network(images)  # torch.float32"
    ),
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        written: the network's file, and how it was checked.
        card: the file that says what it is.
        accuracy: the share of the images that it is right on; None without labels.
    """

    written: Written
    card: Path
    accuracy: float | None


class _Voting(Versions):
    """A program as one network: images to log-probabilities, or to the shares of the votes."""

    def __init__(self, program: Program, models: Sequence[nn.Module]) -> None:
        super().__init__(models)
        self.voter = program.voter
        self.register_buffer("shares", program.shares.float())

    def combined(self, logs: Tensor) -> Tensor:
        """Return [count, classes]."""
        shares = self.get_buffer("shares")
        if isinstance(self.voter, VoteCounter):
            own = torch.nn.functional.one_hot(logs.argmax(dim=2), logs.shape[2])
            return (own * shares[:, None, None]).sum(dim=0)
        return self.voter.log_probabilities(logs, shares.log())


@typed
def export(
    model: nn.Module | Version,
    path: str | Path,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    versions: Mapping[str, Version] | None = None,
    class_names: Sequence[str] = (),
    about: str = "",
) -> Exported:
    """Write a network or a program as one file, check it on images, and write a card beside it.

    Args:
        model: a version, a program, or any model of images [count, channels, height, width] in
            [0, 1].
        path: ends in ``.onnx`` (extra ``onnx``) or ``.pt2`` (``torch.export``).
        images: real ones, float32, on which the file is compared with the original.
        labels: their classes, int64 [count]; then the card says how many are right.
        versions: what a program consists of, by name, for the card.
        class_names: of the outputs, in their order; for the card, and kept in the file. Of versions
            that agree on theirs they need not be said.
        about: what the images are, such as "the test images of mnist".

    Raises:
        InputError: malformed images or labels, or another ending.
        UnsupportedModuleError: PyTorch cannot export it.
        ArtefactError: the file gives other outputs; it is not kept.
    """
    path = Path(path)
    check_images(images)
    if isinstance(model, Version):
        versions, model = {model.name: model}, model.model
    known = {version.record.class_names for version in (versions or {}).values()}
    if not class_names and len(known) == 1:
        (class_names,) = known
    if labels is not None:
        check_labels(labels, len(images))
    shape = tuple(images.shape[1:])
    network = _network(model, shape)
    told = _vote_of(model, list(versions or {})) if isinstance(model, Program) else None
    written = write_network(network, path, images, told, class_names)
    accuracy = None
    if labels is not None:
        predictions = _predictions(model, images)
        accuracy = float((predictions == labels).double().mean())
    card = path.with_suffix(".md")
    facts = _Facts(model, written, shape, accuracy, versions or {}, class_names, about)
    write_text(card, facts.text())
    return Exported(written, card, accuracy)


def _network(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return a model as a network of logits, or of a vote."""
    if isinstance(model, Program):
        models = [exportable(one) for one in model.read(shape).models]
        if any(isinstance(one, Program) for one in models):
            raise InputError(
                "a program of programs cannot be exported; export one of plain versions"
            )
        return _Voting(model, models).eval()
    return exportable(reader(model, shape)).eval()


def _vote_of(program: Program, names: Sequence[str]) -> ProgramFacts:
    """Return how a program's versions vote, under their names where these are plain."""
    count, abstention = len(program.models), program.abstention
    plain = len(names) == count and not any("/" in name or "\\" in name for name in names)
    weights = program.weights
    return ProgramFacts(
        versions=list(names) if plain else [f"v{place:03}" for place in range(1, count + 1)],
        values=[],
        voter=program.voter.name,
        options=program.voter.options(),
        weights=None if weights is None else weights.tolist(),
        abstain=None if abstention is None else f"{abstention.by}={abstention.threshold!r}",
        quorum=program.quorum,
    )


def _predictions(model: nn.Module, images: Tensor) -> Tensor:
    return model.vote(images).labels if isinstance(model, Program) else predict(model, images)


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a card says."""

    model: nn.Module
    written: Written
    shape: tuple[int, ...]
    accuracy: float | None
    versions: Mapping[str, Version]
    class_names: Sequence[str]
    about: str

    def text(self) -> str:
        """Return the card."""
        parts = [
            f"# {self.written.path.name}",
            self._what(),
            self._input(),
            self._output(),
            self._made(),
            self._measured(),
            self._reading(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _what(self) -> str:
        if isinstance(self.model, Program):
            count = len(self.model.models)
            return (
                f"An N-version program of {count} networks that vote (voter `"
                f"{self.model.voter.name}`), written by nversion as one network."
            )
        return "A network, written by nversion."

    def _input(self) -> str:
        channels, height, width = self.shape
        return (
            "## Input\n\n"
            f"`images`: float32 [count, {channels}, {height}, {width}], values in [0, 1]; any "
            "count. Normalisation, where there is any, is part of the network."
        )

    def _output(self) -> str:
        voter = self.model.voter if isinstance(self.model, Program) else None
        if isinstance(voter, VoteCounter):
            count = len(self.model.models)  # type: ignore[arg-type]
            kind = (
                "the share of the votes that each class has. The verdict is the class with the "
                f"largest; where several share it: {voter.tie_rule}; the program abstains "
                f"{voter.abstention_rule(count)}"
            )
        elif voter is not None:
            kind = "the program's log-probabilities; the verdict is the class with the largest"
        else:
            kind = "logits; the class is the one with the largest"
        pairs = [(str(place), name) for place, name in enumerate(self.class_names)]
        told = any(place != name for place, name in pairs)
        names = ", ".join(f"{place} {name}" for place, name in pairs) if told else ""
        return f"## Output\n\n`logits`: float32 [count, classes], {kind}." + (
            f"\n\nClasses: {names}." if names else ""
        )

    def _made(self) -> str:
        rows = [_origin(name, version) for name, version in self.versions.items()]
        return "## Versions\n\n" + "\n".join(rows) if rows else ""

    def _measured(self) -> str:
        written, about = self.written, f" ({self.about})" if self.about else ""
        said = [
            "## Measured",
            f"On {written.images} images{about}, this file gives the outputs of the original to "
            f"within {written.difference:.2g}, and the same class on {written.same_class:.2%} of "
            "them.",
        ]
        if self.accuracy is not None:
            said.append(f"The original is right on {self.accuracy:.2%} of them.")
        said.append(
            "Nothing is claimed of other images. Certificates that nversion gives are of the "
            "original in PyTorch's arithmetic, not of this file in another runtime's."
        )
        said.append(f"SHA-256 of the file: `{written.sha256}`")
        return "\n\n".join(said)

    def _reading(self) -> str:
        file = self.written.path.name
        code = READING[self.written.path.suffix.lower()].format(file=file)
        kind = "program" if isinstance(self.model, Program) else "version"
        again = f'import nversion as nv\n\n{kind} = nv.load_{kind}("{file}")'
        return (
            f"## Use\n\n```python\n{code}\n```\n\nIn nversion, which attacks and certifies it as "
            f"the original:\n\n```python\n{again}\n```"
        )


def _origin(name: str, version: Version) -> str:
    """Return a line that says where a version is from."""
    record = version.record
    if record.origin is not None:
        origin = record.origin
        return (
            f"- `{name}`: from `{origin.file}` ({origin.format}, SHA-256 `{origin.sha256}`), "
            f"{record.parameters:,} parameters"
        )
    lines = [] if version.architecture is None else version.architecture.to_text().splitlines()
    text = f": `{'; '.join(line for line in lines if line.strip())}`" if lines else ""
    return (
        f"- `{name}`{text}; trained on {record.dataset} with seed {record.seed}, "
        f"{record.parameters:,} parameters, {record.test_accuracy:.2%} of its test images right"
    )
