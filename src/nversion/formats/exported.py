"""Programs of ``torch.export`` (``.pt2``), converted into plain layers.

Such a file is a zip: the graph is JSON, the weights are raw numbers. Both are read as such, without
``torch.export.load``, which unpickles parts of it. Each operator becomes a layer
(:mod:`nversion.formats.aten`).
"""

from __future__ import annotations

import dataclasses
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nversion.formats.aten import ATEN, Call
from nversion.formats.base import FileFormat, Loaded, refused
from nversion.formats.facts import CLASSES, FACTS, ProgramFacts, names_of
from nversion.formats.feed import Feed, arranged, settled
from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver
from nversion.reading import JSON_LIMIT, check_expansion, parse_json

__all__ = ["EXPORTED", "exported_facts", "read_exported"]

DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""As the schema of such files numbers them."""


def read_exported(path: Path, feed: Feed) -> Loaded:
    """Read a file that ``torch.export.save`` wrote.

    Raises:
        ArtefactError: it is no such file, or holds an operator that is not converted; it is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = _Archive(path, archive)
            program = stored.json("models/model.json")
            arrays = stored.arrays(program["graph_module"]["signature"])
            facts = stored.facts()
            if not feed.classes:
                feed = dataclasses.replace(feed, classes=stored.classes())
        return _converted(path, program, arrays, feed, facts)
    except (zipfile.BadZipFile, KeyError, OSError, TypeError, IndexError, AttributeError) as error:
        raise refused(
            path, f"not readable as a program of torch.export, of PyTorch 2.8 or newer ({error})"
        ) from error


def exported_facts(path: Path) -> ProgramFacts | None:
    """Return what a file says of the versions of a program; None where it holds none.

    Raises:
        ArtefactError: it is no such file, or what it says cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive).facts()
    except (zipfile.BadZipFile, KeyError, OSError, IndexError) as error:
        raise refused(
            path, f"not readable as a program of torch.export, of PyTorch 2.8 or newer ({error})"
        ) from error


def exported_classes(path: Path) -> tuple[str, ...]:
    """Return what a file says its classes are called; errors as of :func:`exported_facts`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive).classes()
    except (zipfile.BadZipFile, KeyError, OSError, IndexError) as error:
        raise refused(
            path, f"not readable as a program of torch.export, of PyTorch 2.8 or newer ({error})"
        ) from error


def _converted(
    path: Path,
    program: Mapping[str, Any],
    arrays: Mapping[str, Constant],
    feed: Feed,
    facts: ProgramFacts | None,
) -> Loaded:
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    inputs = [
        spec["user_input"]["arg"]["as_tensor"]["name"]
        for spec in signature["input_specs"]
        if "user_input" in spec
    ]
    if len(inputs) != 1:
        raise refused(path, f"must take one tensor, images, but takes {', '.join(inputs)}")
    sizes = graph["tensor_values"][inputs[0]]["sizes"]
    sides = tuple(size.get("as_int") for size in sizes[1:])
    feed = settled(feed, sides, str(path))
    assert feed.size is not None
    weaver = Weaver(feed.size)
    places = arranged(weaver.images.places, str(feed.layout))
    if all(isinstance(side, int) for side in sides):
        places = places.reshape([int(side or 1) for side in sides])
    values: dict[str, Any] = {**arrays, inputs[0]: weaver.images.view(places)}
    if facts is None:
        wanted = _output(path, signature, feed.key)
    else:
        wanted = facts.value_of(feed.key, str(path))
        feed = dataclasses.replace(feed, name=feed.name or feed.key)
    for node in _leading_to(wanted, graph["nodes"]):
        _step(path, weaver, node, values)
    value = values[wanted]
    if not isinstance(value, Value):
        raise refused(path, "gives what does not depend on the images")
    if (logit := weaver.before_sigmoid(value)) is not None:
        value, feed = logit, dataclasses.replace(feed, outputs="logit")
    if max(value.shape, default=1) != value.places.size:
        raise refused(path, f"gives {list(value.shape)} numbers an image, not one for each class")
    return Loaded(weaver.network(value.view(value.places.reshape(-1))), feed, path)


def _output(path: Path, signature: Mapping[str, Any], key: str | None) -> str:
    names: list[str] = [
        spec["user_output"]["arg"]["as_tensor"]["name"]
        for spec in signature["output_specs"]
        if "as_tensor" in spec.get("user_output", {}).get("arg", {})
    ]
    if key in names:
        return str(key)
    if key is not None and key.isdecimal() and int(key) < len(names):
        return names[int(key)]
    if len(names) == 1:
        return names[0]
    raise refused(
        path, f"gives {', '.join(names)}; say with --input key={names[0]} which are the logits"
    )


def _leading_to(wanted: str, nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the nodes, in their order, that a value rests on."""
    names, kept = {wanted}, []
    for node in reversed(nodes):
        if names.intersection(one for output in node["outputs"] for one in _names(output)):
            kept.append(node)
            names.update(_read_by([given["arg"] for given in node["inputs"]]))
    return kept[::-1]


def _read_by(argument: Any) -> Iterator[str]:
    """Yield the names in an argument."""
    if isinstance(argument, Mapping):
        yield from (argument[key] for key in ("name", "as_name") if key in argument)
        argument = list(argument.values())
    if isinstance(argument, list):
        for one in argument:
            yield from _read_by(one)


def _step(path: Path, weaver: Weaver, node: Mapping[str, Any], values: dict[str, Any]) -> None:
    """Compute one node's results into `values`."""
    target = str(node["target"])
    kind = target.removeprefix("torch.ops.aten.").removeprefix("_operator.")
    name = kind.partition(".")[0].strip("_")
    given = {
        one["name"] or str(i): _argument(one["arg"], values) for i, one in enumerate(node["inputs"])
    }
    called = node.get("name") or target
    convert = ATEN.get(name)
    if convert is None:
        raise refused(
            path,
            f"the operator {kind} ({called!r}) is not converted; converted are "
            f"{', '.join(sorted(ATEN))}",
        )
    try:
        results = convert(weaver, Call(kind, _stack(node) or called, given))
    except Unconverted as error:
        raise refused(path, f"the operator {kind} ({called!r}): {error}") from None
    except (ValueError, RuntimeError) as error:
        raise refused(
            path, f"the operator {kind} ({called!r}) cannot be converted: {error}"
        ) from error
    names = [name for output in node["outputs"] for name in _names(output)]
    for one, result in zip(
        names, results if isinstance(results, list) else [results], strict=False
    ):
        values[one] = result


def _stack(node: Mapping[str, Any]) -> str:
    """Return the name of the module that a node was part of, as its author called it."""
    stack = (node.get("metadata") or {}).get("nn_module_stack", "")
    last = str(stack).rsplit(";", 1)[-1].split(",")
    return last[1] if len(last) > 1 else ""


def _names(output: Mapping[str, Any]) -> list[str]:
    if "as_tensor" in output:
        return [output["as_tensor"]["name"]]
    if "as_tensors" in output:
        return [one["name"] for one in output["as_tensors"]]
    if "as_sym_int" in output:
        return [output["as_sym_int"].get("as_name", "")]
    return [""]


def _argument(argument: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return the value of an argument."""
    ((kind, value),) = argument.items()
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_optional_tensor"):
        value = value.get("as_tensor", value)
        return values[value["name"]] if "name" in value else None
    if kind == "as_tensors":
        return [values[one["name"]] for one in value]
    if kind == "as_sym_int":
        return value["as_int"] if "as_int" in value else values[value["as_name"]]
    if kind == "as_sym_ints":
        return [one["as_int"] if "as_int" in one else values[one["as_name"]] for one in value]
    return value


@dataclasses.dataclass(frozen=True)
class _Archive:
    """A file's parts."""

    path: Path
    archive: zipfile.ZipFile

    def _read(self, name: str, limit: int | None = None) -> bytes:
        top = self.archive.namelist()[0].split("/")[0]
        member = self.archive.getinfo(f"{top}/{name}")
        check_expansion(member.compress_size, member.file_size, self.path)
        if limit is not None and member.file_size > limit:
            raise refused(self.path, f"{name} is longer than any is")
        return self.archive.read(member)

    def json(self, name: str) -> Any:
        return parse_json(self._read(name, JSON_LIMIT), self.path)

    def facts(self) -> ProgramFacts | None:
        """Return what it says of the versions of a program, if it holds one."""
        text = self._extra(FACTS)
        return None if text is None else ProgramFacts.of(text, str(self.path))

    def classes(self) -> tuple[str, ...]:
        """Return what it says its classes are called."""
        text = self._extra(CLASSES)
        return () if text is None else names_of(text, str(self.path))

    def _extra(self, name: str) -> bytes | None:
        top = self.archive.namelist()[0].split("/")[0]
        if f"{top}/extra/{name}" not in self.archive.namelist():
            return None
        return self._read(f"extra/{name}", JSON_LIMIT)

    def arrays(self, signature: Mapping[str, Any]) -> dict[str, Constant]:
        """Return weights, buffers and constants by the names that the graph has for them."""
        found: dict[str, Constant] = {}
        weights = self.json("data/weights/model_weights_config.json")["config"]
        constants: dict[str, Any] = {}
        for spec in signature["input_specs"]:
            ((kind, one),) = spec.items()
            if kind in ("parameter", "buffer"):
                stored = weights.get(one[f"{kind}_name"])
                folder = "weights"
            elif kind == "tensor_constant":
                constants = (
                    constants or self.json("data/constants/model_constants_config.json")["config"]
                )
                stored, folder = constants.get(one["tensor_constant_name"]), "constants"
            else:
                continue
            if stored is None:  # a buffer that is not kept
                stored, folder = self._constant(one), "constants"
            found[one["arg"]["name"]] = self._array(f"data/{folder}/{stored['path_name']}", stored)
        return found

    def _constant(self, one: Mapping[str, Any]) -> Any:
        stored = self.json("data/constants/model_constants_config.json")["config"]
        return stored[one.get("buffer_name") or one.get("tensor_constant_name")]

    def _array(self, name: str, stored: Mapping[str, Any]) -> Constant:
        if stored.get("use_pickle"):
            raise refused(self.path, f"{name} is pickled, and pickles are never opened")
        meta = stored["tensor_meta"]
        sizes = [int(size["as_int"]) for size in meta["sizes"]]
        strides = [int(stride["as_int"]) for stride in meta["strides"]]
        dtype = DTYPES.get(int(meta["dtype"]))
        if dtype is None:
            raise refused(self.path, f"{name} holds numbers of a type that is not read")
        raw = bytearray(self._read(name))
        if not raw or math.prod(sizes) == 0:
            return np.zeros(sizes, dtype=np.float32)
        flat = torch.frombuffer(raw, dtype=dtype)
        offset = int(meta["storage_offset"].get("as_int", 0))
        tensor = torch.as_strided(flat, sizes, strides, offset)
        wide = tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        array: Constant = wide.contiguous().numpy()
        return array


EXPORTED = FileFormat("torch.export", (".pt2",), read_exported, classes=exported_classes)
