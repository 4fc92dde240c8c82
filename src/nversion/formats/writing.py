"""Networks written as ONNX and as programs of ``torch.export``, and checked against the original.

What was written is read back and asked about real images: an ONNX file by ONNX Runtime, a program
of ``torch.export`` by PyTorch. A file that gives other outputs is not kept.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from nversion.errors import ArtefactError, InputError, UnsupportedModuleError
from nversion.extras import needed
from nversion.files import replacing, sha256_of_file
from nversion.formats.facts import CLASSES, FACTS, ProgramFacts, names_text
from nversion.models import frozen
from nversion.modes import ordinary
from nversion.outputs import AsLogits, logits_of, pick

__all__ = ["ENDINGS", "Versions", "Written", "exportable", "quiet", "write_network"]

ENDINGS = (".onnx", ".pt2")

TOLERANCE = 1e-4
"""By how much a file's outputs may differ from the original's, of the largest of them."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A file that was written and checked.

    Attributes:
        path: of it.
        sha256: of its bytes.
        images: on how many images it was compared with the original.
        difference: the largest difference of an output.
        same_class: the share of images that both put into the same class.
    """

    path: Path
    sha256: str
    images: int
    difference: float
    same_class: float


class _Probabilities(nn.Module):
    """A model of probabilities, as one of their logarithms."""

    def __init__(self, model: nn.Module, key: str | None) -> None:
        super().__init__()
        self.model, self.key = model, key

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [count, classes]."""
        outputs = pick(self.model(images), self.key)
        assert isinstance(outputs, Tensor)
        return logits_of(outputs)


class Versions(nn.Module, abc.ABC):
    """Versions that are written as one network, with what is made of their logits on top."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    @abc.abstractmethod
    def combined(self, logs: Tensor) -> Tensor:
        """Return the network's outputs of log-probabilities [versions, count, classes]."""

    def beside(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the network's outputs, and each version's logits [count, classes]."""
        logits = [model(images) for model in self.models]
        logs = torch.stack([one.log_softmax(dim=1) for one in logits])
        return self.combined(logs), *logits

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's outputs [count, classes]."""
        return self.beside(images)[0]


class _Beside(nn.Module):
    """Versions as a network of several outputs: the vote's, and those of each."""

    def __init__(self, network: Versions) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return all of them."""
        return self.network.beside(images)


def exportable(model: nn.Module) -> nn.Module:
    """Return a model of the same logits that PyTorch's exporters can follow."""
    if not isinstance(model, AsLogits) or model.outputs != "probabilities":
        return model
    inner = model.model
    layers = list(inner.children()) if isinstance(inner, nn.Sequential) else []
    if layers and isinstance(layers[-1], nn.Softmax) and model.key is None:
        return nn.Sequential(*layers[:-1]).eval()
    return _Probabilities(inner, model.key).eval()


@ordinary()
def write_network(
    model: nn.Module,
    path: str | Path,
    images: Tensor,
    facts: ProgramFacts | None = None,
    class_names: Sequence[str] = (),
) -> Written:
    """Write a network, and check the file on images.

    Args:
        model: maps images [count, channels, height, width] in [0, 1] to logits [count, classes];
            written in float32 and evaluation mode, for any number of images.
        path: ends in ``.onnx`` or ``.pt2``.
        images: real ones, float32 [count, ...], at least one.
        facts: of a program, whose `model` is :class:`Versions`: how they vote; the names of the
            values are added to it.
        class_names: of the outputs, in their order; kept in the file where they say anything.

    Raises:
        InputError: another ending, or no images.
        MissingExtraError: what writes ONNX is not installed.
        UnsupportedModuleError: PyTorch cannot export the model.
        ArtefactError: the file gives other outputs than the model; it is not kept.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: must end in {' or '.join(ENDINGS)}")
    if len(images) == 0:
        raise InputError("there are no images to check the file on")
    write, run = WRITERS[path.suffix.lower()]
    network = copy.deepcopy(exportable(model)).cpu().float().eval()
    images = images.detach().cpu().float()
    with frozen(network), replacing(path) as temporary:
        try:
            with quiet():
                told = _Told(facts, names_text(class_names))
                write(network, temporary, torch.cat([images[:1], images[-1:]]), told)
        except (InputError, ArtefactError):
            raise
        except Exception as error:  # of an exporter that raises what it likes
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnsupportedModuleError(
                f"{type(model).__name__} cannot be exported: {type(error).__name__}: {reason}"
            ) from error
        with torch.no_grad():
            ours = network(images)
        with quiet():
            theirs = torch.cat([run(temporary, part) for part in torch.split(images, 64)])
        difference = float((ours.double() - theirs.double()).abs().max())
        same = float((ours.argmax(dim=1) == theirs.argmax(dim=1)).double().mean())
        if not difference <= TOLERANCE * max(1.0, float(ours.abs().max())):
            raise ArtefactError(
                f"{path}: the file gives other outputs than the network, by {difference:g}; it is "
                "not kept"
            )
    return Written(path, sha256_of_file(path), len(images), difference, same)


@dataclasses.dataclass(frozen=True)
class _Told:
    """What a file says beside its network: how versions vote, and what the classes are called."""

    facts: ProgramFacts | None
    classes: str | None

    def texts(self, values: Sequence[str]) -> dict[str, str]:
        """Return it by key; `values` are the names of the versions' logits in the graph."""
        found = {} if self.classes is None else {CLASSES: self.classes}
        if self.facts is not None:
            found[FACTS] = dataclasses.replace(self.facts, values=list(values)).text()
        return found


def _write_onnx(network: nn.Module, path: Path, example: Tensor, told: _Told) -> None:
    needed("onnx", "onnx", "writing ONNX")
    needed("onnxscript", "onnx", "writing ONNX")
    values: list[str] = []
    if (facts := told.facts) is not None:
        assert isinstance(network, Versions)
        network, values = _Beside(network), [f"logits of {name}" for name in facts.versions]
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=["images"],
        output_names=["logits", *values],
        dynamic_shapes=({0: torch.export.Dim("count")},),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    if facts is not None:
        # The versions' logits stay in the graph under their names, and are no outputs of the file.
        del program.model.graph.outputs[1:]
    program.model.metadata_props.update(told.texts(values))
    program.save(str(path), external_data=False)


def _run_onnx(path: Path, images: Tensor) -> Tensor:
    runtime = needed("onnxruntime", "onnx", "checking an ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return torch.from_numpy(np.array(session.run(None, {"images": images.numpy()})[0]))


def _write_exported(network: nn.Module, path: Path, example: Tensor, told: _Told) -> None:
    count = torch.export.Dim("count")
    program = torch.export.export(network, (example,), dynamic_shapes=({0: count},))
    count_of_versions = 0 if told.facts is None else len(told.facts.versions)
    values = _before_the_vote(program)[:count_of_versions]
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files=told.texts(values) or None)


def _before_the_vote(program: torch.export.ExportedProgram) -> list[str]:
    """Return the names of the values of which :class:`Versions` itself takes the log-softmax."""
    return [
        node.args[0].name
        for node in program.graph.nodes
        if node.target == torch.ops.aten.log_softmax.int
        and len(node.meta.get("nn_module_stack", ())) == 1
    ]


def _run_exported(path: Path, images: Tensor) -> Tensor:
    with path.open("rb") as file, torch.no_grad():
        result: Tensor = torch.export.load(file).module()(images)
    return result


Write = Callable[[nn.Module, Path, Tensor, _Told], None]

WRITERS: Mapping[str, tuple[Write, Callable[[Path, Tensor], Tensor]]] = MappingProxyType(
    {".onnx": (_write_onnx, _run_onnx), ".pt2": (_write_exported, _run_exported)}
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' remarks from the reader; their errors come through."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
