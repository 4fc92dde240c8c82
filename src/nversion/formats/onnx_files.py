"""ONNX files, converted into plain layers (https://onnx.ai/onnx/operators).

Every operator is converted by itself (:mod:`nversion.formats.onnx_operators`); what does not depend
on the images is computed beforehand by the reference implementation that comes with ``onnx``,
control flow behind a constant condition included. Nothing in such a file is code.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from nversion.extras import needed
from nversion.formats.base import FileFormat, Loaded, refused
from nversion.formats.facts import CLASSES, FACTS, ProgramFacts, names_of
from nversion.formats.feed import Feed, arranged, settled
from nversion.formats.onnx_operators import OPERATORS, Node
from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver

__all__ = ["ONNX", "onnx_facts"]

KINDS: Mapping[str, Any] = MappingProxyType(
    {"tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
)
"""Types of inputs, as ONNX Runtime calls them; the others are float32."""

LARGEST_CONSTANT = 1 << 28
"""The most numbers of a constant that a file computes: 1 GiB in float32."""

SIZING = ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Pad")
"""Operators by which a small file can ask for a large constant."""


def read_onnx(path: Path, feed: Feed) -> Loaded:
    """Read an ONNX file.

    Raises:
        MissingExtraError: the package onnx is not installed.
        ArtefactError: it is no such file, or holds an operator that is not converted; it is named.
    """
    onnx = needed("onnx", "onnx", f"{path}: an ONNX file")
    model = _model(onnx, path)
    graph = model.graph
    if not feed.classes:
        feed = dataclasses.replace(feed, classes=_names(model, path))
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise refused(path, f"must take one input, images, but takes {names}")
    feed = settled(feed, _sides(inputs[0]), str(path))
    assert feed.size is not None
    weaver = Weaver(feed.size)
    opsets = {one.domain: one.version for one in model.opset_import}
    reading = _Reading(path, onnx, weaver, opsets)
    images = weaver.images.view(_laid_out(weaver, feed, _sides(inputs[0])))
    values: dict[str, Value | Constant] = {**constants, inputs[0].name: images}
    facts = _facts(model, path)
    if facts is None:
        name = _output(path, graph, feed.key)
    else:
        name = facts.value_of(feed.key, str(path))
        feed = dataclasses.replace(feed, name=feed.name or feed.key)
    reading.run(_leading_to(name, graph.node), values)
    value, feed = reading.end(values, name, feed)
    network = weaver.network(value)
    batch = inputs[0].type.tensor_type.shape.dim[0].dim_value or None
    source = path if name in [one.name for one in graph.output] else _giving(onnx, model, name)
    runtime = functools.partial(_own_runtime, path, source, name, images.shape, batch)
    reference = runtime if name == reading.last else None
    return Loaded(network, feed, path, reference)


def onnx_facts(path: Path) -> ProgramFacts | None:
    """Return what a file says of the versions of a program; None where it holds none.

    Raises:
        MissingExtraError: the package onnx is not installed.
        ArtefactError: it is no such file, or what it says cannot be read.
    """
    onnx = needed("onnx", "onnx", f"{path}: an ONNX file")
    return _facts(_model(onnx, path, whole=False), path)


def _model(onnx: Any, path: Path, *, whole: bool = True) -> Any:
    try:
        return onnx.load(str(path), load_external_data=whole)
    except Exception as error:  # of protobuf, of onnx's own checks, of external data
        raise refused(path, f"not readable as ONNX ({_first_line(error)})") from error


def onnx_classes(path: Path) -> tuple[str, ...]:
    """Return what a file says its classes are called; errors as of :func:`onnx_facts`."""
    onnx = needed("onnx", "onnx", f"{path}: an ONNX file")
    return _names(_model(onnx, path, whole=False), path)


def onnx_beside(path: Path) -> tuple[Path, ...]:
    """Return the other files that hold weights; errors as of :func:`onnx_facts`."""
    onnx = needed("onnx", "onnx", f"{path}: an ONNX file")
    tensors = _tensors(_model(onnx, path, whole=False).graph)
    told = [entry for tensor in tensors for entry in tensor.external_data]
    places = {entry.value for entry in told if entry.key == "location"}
    return tuple(path.parent / place for place in sorted(places))


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the stored arrays of a graph, and of those within its nodes."""
    yield from graph.initializer
    for attribute in (one for node in graph.node for one in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _names(model: Any, path: Path) -> tuple[str, ...]:
    texts = [one.value for one in model.metadata_props if one.key == CLASSES]
    return names_of(texts[0], str(path)) if texts else ()


def _facts(model: Any, path: Path) -> ProgramFacts | None:
    texts = [one.value for one in model.metadata_props if one.key == FACTS]
    return ProgramFacts.of(texts[0], str(path)) if texts else None


def _leading_to(name: str, nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes, in their order, that a value rests on."""
    wanted, kept = {name}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(_read_by(node))
    return kept[::-1]


def _read_by(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, those of branches within it included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (one.name for one in graph.output)
            for inner in graph.node:
                yield from _read_by(inner)


def _giving(onnx: Any, model: Any, name: str) -> bytes:
    """Return the file of a model that gives another of its values."""
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    whole: bytes = model.SerializeToString()
    return whole


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sides(value: Any) -> tuple[int | None, ...] | None:
    """Return the sides of an input without the batch; None of each that is not said."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(side.dim_value or None for side in kind.shape.dim)[1:]


def _laid_out(
    weaver: Weaver, feed: Feed, sides: tuple[int | None, ...] | None
) -> npt.NDArray[np.int64]:
    """Return the places of the images' numbers as a file takes them."""
    places = arranged(weaver.images.places, str(feed.layout))
    if sides is not None and all(sides):
        places = places.reshape([int(side or 1) for side in sides])
    return places


def _output(path: Path, graph: Any, key: str | None) -> str:
    """Return the output that is meant, or another value that the key names."""
    names: list[str] = [one.name for one in graph.output]
    if key is not None:
        if key in names or any(key in node.output for node in graph.node):
            return key
        if key.isdecimal() and int(key) < len(names):
            return names[int(key)]
        raise refused(path, f"gives no output {key!r}, but {', '.join(names)}")
    if len(names) == 1:
        return names[0]
    telling = [name for name in names if "logit" in name.lower()]
    if len(telling) == 1:
        return telling[0]
    raise refused(
        path, f"gives {', '.join(names)}; say with --input key={names[0]} which are the logits"
    )


def _own_runtime(
    path: Path,
    source: Path | bytes,
    output: str,
    sides: tuple[int, ...],
    batch: int | None,
    images: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """Return what ONNX Runtime, or else the reference implementation, gives for arranged images."""
    run, kind = _session(path, source, output)
    size = batch or len(images)
    pieces = []
    for start in range(0, len(images), size):
        part = images[start : start + size].reshape(-1, *sides)
        count = len(part)
        part = np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)])
        pieces.append(np.asarray(run(part.astype(kind)))[:count])
    return np.concatenate(pieces)


def _session(path: Path, source: Path | bytes, output: str) -> tuple[Callable[[Any], Any], Any]:
    """Return what runs a file, or its changed content, and the type of the numbers that it takes.

    ONNX Runtime, or the reference implementation where that is not installed.

    Raises:
        ArtefactError: the file's own runtime cannot read it.
    """
    try:
        import onnxruntime
    except ImportError:
        return _reference(source, output)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        given: Any = source if isinstance(source, bytes) else str(source)
        session = onnxruntime.InferenceSession(given, options, ["CPUExecutionProvider"])
    except Exception as error:  # of a library that raises its own
        raise refused(path, f"ONNX Runtime cannot read it ({_first_line(error)})") from error
    first = session.get_inputs()[0]
    kind = KINDS.get(first.type, np.float32)
    return lambda part: session.run([output], {first.name: part})[0], kind


def _reference(source: Path | bytes, output: str) -> tuple[Callable[[Any], Any], Any]:
    """Return the same of the implementation that comes with the package onnx."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(str(source))
    known = {one.name for one in model.graph.initializer}
    (entry,) = (one for one in model.graph.input if one.name not in known)
    kind: Any = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
    run: Any = ReferenceEvaluator(model).run
    return lambda part: run([output], {entry.name: part})[0], kind


class _Reading:
    """Goes through a graph's nodes, and makes a value or a constant of what each gives."""

    def __init__(self, path: Path, onnx: Any, weaver: Weaver, opsets: Mapping[str, int]) -> None:
        self.path, self.onnx, self.weaver, self.opsets = path, onnx, weaver, opsets
        self.last = ""
        """The name of the output whose value the network gives."""

    def run(self, nodes: Any, values: dict[str, Value | Constant]) -> None:
        for node in nodes:
            given = [values.get(name) for name in node.input]
            if any(name and value is None for name, value in zip(node.input, given, strict=True)):
                missing = next(n for n, v in zip(node.input, given, strict=True) if n and v is None)
                raise refused(self.path, f"{_describe(node)} takes {missing!r}, which is nowhere")
            results = self._results(node, given, values)
            for name, result in zip(node.output, results, strict=False):
                if name:
                    values[name] = result

    def _results(self, node: Any, given: list[Any], values: dict[str, Any]) -> list[Any]:
        if node.op_type == "If":
            return self._branch(node, given[0], values)
        if node.op_type == "Shape" and isinstance(given[0], Value):
            sides = np.array([1, *given[0].shape], dtype=np.int64)
            return [sides[slice(_attribute(node, "start", 0), _attribute(node, "end", None))]]
        if not any(isinstance(value, Value) for value in given):
            return self._constant(node, given)
        convert = OPERATORS.get(node.op_type)
        if convert is None or node.domain not in ("", "ai.onnx"):
            raise refused(
                self.path,
                f"{_describe(node)} is not converted; converted are {', '.join(sorted(OPERATORS))}",
            )
        attributes = {one.name: self._attribute(one) for one in node.attribute}
        described = Node(node.op_type, node.name, attributes, self.opsets.get("", 1))
        try:
            return convert(self.weaver, described, given)
        except Unconverted as error:
            raise refused(self.path, f"{_describe(node)}: {error}") from None
        except (ValueError, IndexError, TypeError, KeyError, RuntimeError) as error:
            raise refused(
                self.path, f"{_describe(node)} cannot be converted: {_first_line(error)}"
            ) from error

    def _attribute(self, one: Any) -> Any:
        value = self.onnx.helper.get_attribute_value(one)
        if isinstance(value, self.onnx.TensorProto):
            return self.onnx.numpy_helper.to_array(value)
        return value.decode() if isinstance(value, bytes) else value

    def _branch(self, node: Any, condition: Any, values: dict[str, Any]) -> list[Any]:
        if isinstance(condition, Value):
            raise refused(
                self.path, f"{_describe(node)} decides by the images, which is not converted"
            )
        name = "then_branch" if bool(np.asarray(condition).reshape(-1)[0]) else "else_branch"
        (branch,) = (one.g for one in node.attribute if one.name == name)
        inner = dict(values)
        inner |= {one.name: self.onnx.numpy_helper.to_array(one) for one in branch.initializer}
        self.run(branch.node, inner)
        return [inner[one.name] for one in branch.output]

    def _constant(self, node: Any, given: list[Any]) -> list[Any]:
        """Return what a node gives that does not depend on the images."""
        from onnx.reference import ReferenceEvaluator

        if node.op_type in SIZING:
            sizes = [np.asarray(v) for v in given if v is not None and np.asarray(v).ndim == 1]
            whole = [float(np.prod(np.maximum(one.astype(np.float64), 1))) for one in sizes]
            if max(whole, default=0) > LARGEST_CONSTANT:
                raise refused(self.path, f"{_describe(node)} asks for a constant that is too large")
        named = dict(zip(node.input, given, strict=True))
        try:
            evaluator = ReferenceEvaluator(node, opsets=dict(self.opsets))
            found = evaluator.run(None, {name: v for name, v in named.items() if name})
        except Exception as error:  # whatever the reference makes of a constant
            raise refused(
                self.path, f"{_describe(node)} cannot be computed: {_first_line(error)}"
            ) from error
        return [np.asarray(one) for one in found]

    def end(self, values: Mapping[str, Any], name: str, feed: Feed) -> tuple[Value, Feed]:
        """Return the value that the network gives, [outputs], and what kind it is."""
        value = values.get(name)
        if not isinstance(value, Value):
            raise refused(self.path, f"its output {name} does not depend on the images")
        self.last = name
        if (logit := self.weaver.before_sigmoid(value)) is not None:
            value, self.last = logit, ""
            feed = dataclasses.replace(feed, outputs="logit")
        if max(value.shape, default=1) != value.places.size:
            raise refused(
                self.path, f"gives {list(value.shape)} numbers an image, not one for each class"
            )
        return value.view(value.places.reshape(-1)), feed


def _attribute(node: Any, name: str, default: Any) -> Any:
    return next((one.i for one in node.attribute if one.name == name), default)


def _describe(node: Any) -> str:
    named = f" {node.name!r}" if node.name else f" (gives {', '.join(node.output)})"
    return f"the operator {node.op_type}{named}"


ONNX = FileFormat("onnx", (".onnx",), read_onnx, beside=onnx_beside, classes=onnx_classes)
