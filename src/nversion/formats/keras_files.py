"""Keras 3 files: ``.keras`` (a zip of JSON and HDF5) and ``.h5``, read without Keras.

The description is JSON and the weights are arrays; both are read as such, and each layer becomes
PyTorch's (:mod:`nversion.formats.keras_layers`). A ``Lambda``, and whatever class is not Keras'
own, is code, and refused by name. HDF5 can point to other files; no such link is followed.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nversion.extras import needed
from nversion.formats.base import FileFormat, Loaded, refused
from nversion.formats.feed import Feed, arranged, settled
from nversion.formats.keras_layers import LAYERS, Layer, activated
from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver
from nversion.reading import JSON_LIMIT, check_expansion, parse_json

__all__ = ["KERAS"]

MODELS = ("Sequential", "Functional", "Model")

Weights = Callable[[str, str, int], list[Constant]]
"""(name, class, how many of that class came before) of a layer -> its arrays, in order."""


def read_keras(path: Path, feed: Feed) -> Loaded:
    """Read a Keras file.

    Raises:
        MissingExtraError: the package h5py is not installed.
        ArtefactError: it is no such file, or holds a layer that is not converted; it is named.
    """
    h5py = needed("h5py", "keras", f"{path}: a Keras file")
    try:
        if zipfile.is_zipfile(path):
            description, weights = _from_zip(path, h5py)
        else:
            description, weights = _from_hdf5(path, h5py)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
        raise refused(path, f"not readable as a Keras file ({error})") from error
    model = _Model(path, description)
    sides = model.sides()
    if sides is not None and len(sides) == 3 and feed.layout is None:
        feed = dataclasses.replace(feed, layout=model.layout())
    feed = settled(feed, sides, str(path))
    if feed.range is None and not feed.mean and model.rescales():
        feed = dataclasses.replace(feed, range=(0.0, 255.0))
    assert feed.size is not None
    weaver = Weaver(feed.size)
    places = arranged(weaver.images.places, str(feed.layout))
    if sides is not None and all(sides):
        places = places.reshape([int(side or 1) for side in sides])
    value = model.run(weaver, weights, weaver.images.view(places))
    if (logit := weaver.before_sigmoid(value)) is not None:
        value, feed = logit, dataclasses.replace(feed, outputs="logit")
    if max(value.shape, default=1) != value.places.size:
        raise refused(path, f"gives {list(value.shape)} numbers an image, not one for each class")
    return Loaded(weaver.network(value.view(value.places.reshape(-1))), feed, path)


def _from_zip(path: Path, h5py: Any) -> tuple[Any, Weights]:
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            member = archive.getinfo(name)
            check_expansion(member.compress_size, member.file_size, path)
        if archive.getinfo("config.json").file_size > JSON_LIMIT:
            raise refused(path, "its description is longer than any is")
        description = parse_json(archive.read("config.json"), path)
        content = archive.read("model.weights.h5")
    file = h5py.File(io.BytesIO(content), "r")
    return description, _Stored(path, h5py, file, len(content)).of


def _from_hdf5(path: Path, h5py: Any) -> tuple[Any, Weights]:
    file = h5py.File(path, "r")
    text = file.attrs.get("model_config")
    if text is None:
        raise refused(
            path, "holds weights without a description of the layers; save the whole model"
        )
    stored = _Stored(path, h5py, file, path.stat().st_size)
    return parse_json(text if isinstance(text, str) else bytes(text), path), stored.of_legacy


@dataclasses.dataclass(frozen=True)
class _Stored:
    """The arrays of a file."""

    path: Path
    h5py: Any
    file: Any
    length: int

    def of(self, name: str, kind: str, before: int) -> list[Constant]:
        """Return a layer's arrays in a ``.keras`` file: by its name, in older files by its class.

        Names of nested models' layers have the model's before them, with "/" between.
        """
        group = self.file
        *models, last = name.split("/")
        for model in models:
            group = self._child(group, model, "Functional", 0)
        found = self._child(group, last, kind, before)
        if found is None or "vars" not in found:
            return []
        stored = found["vars"]
        return [self._array(stored, key) for key in sorted(stored, key=int)]

    def _child(self, group: Any, name: str, kind: str, before: int) -> Any:
        layers = group["layers"]
        for key in layers:
            self._refuse_link(layers, key)
            if "vars" in layers[key]:
                told = layers[key]["vars"].attrs.get("name")
                if told is not None and str(told) == name:
                    return layers[key]
        key = re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        key = key if not before else f"{key}_{before}"
        return layers.get(key)

    def of_legacy(self, name: str, kind: str, before: int) -> list[Constant]:
        """Return a layer's arrays in an ``.h5`` file."""
        weights = self.file.get("model_weights", self.file)
        if "/" in name:
            raise refused(
                self.path, f"holds a model within a model ({name}); save it as .keras instead"
            )
        if name not in weights:
            return []
        self._refuse_link(weights, name)
        names = [
            n.decode() if isinstance(n, bytes) else n for n in weights[name].attrs["weight_names"]
        ]
        return [self._array(weights[name], one) for one in names]

    def _array(self, group: Any, key: str) -> Constant:
        *folders, last = str(key).split("/")
        for folder in folders:
            self._refuse_link(group, folder)
            group = group[folder]
        self._refuse_link(group, last)
        stored = group[last]
        if not isinstance(stored, self.h5py.Dataset) or stored.external or stored.is_virtual:
            raise refused(self.path, f"{key} points to another file, which is not followed")
        check_expansion(self.length, stored.nbytes, self.path)
        array = np.asarray(stored)
        if array.dtype.kind not in "fiu":
            raise refused(self.path, f"{key} holds no numbers, but {array.dtype}")
        return array.astype(np.float32)

    def _refuse_link(self, group: Any, key: str) -> None:
        link = group.get(key, getlink=True)
        if not isinstance(link, self.h5py.HardLink):
            raise refused(self.path, f"{key} is a link to elsewhere, which is not followed")


@dataclasses.dataclass(frozen=True)
class _Model:
    """A description of layers, Sequential or Functional."""

    path: Path
    description: Any
    prefix: str = ""

    @property
    def config(self) -> Mapping[str, Any]:
        if not isinstance(self.description, dict) or "class_name" not in self.description:
            raise refused(self.path, "describes no model")
        kind = self.description["class_name"]
        if kind not in MODELS or self.description.get("registered_name") not in (None, kind):
            raise refused(
                self.path,
                f"is a {kind}, which only its own code knows; converted are Sequential and "
                "functional models",
            )
        config = self.description["config"]
        return {"layers": config} if isinstance(config, list) else dict(config)

    @property
    def layers(self) -> list[Mapping[str, Any]]:
        return [dict(one) for one in self.config["layers"]]

    def _walk(self) -> Iterator[Mapping[str, Any]]:
        for layer in self.layers:
            if layer["class_name"] in MODELS:
                yield from _Model(self.path, layer)._walk()
            else:
                yield layer

    def sides(self) -> tuple[int | None, ...] | None:
        """Return the sides of an image, as the description has them."""
        for layer in self._walk():
            config = layer["config"]
            shape = config.get("batch_shape") or config.get("batch_input_shape")
            if shape:
                return tuple(shape[1:])
            break
        shape = (self.description.get("build_config") or {}).get("input_shape")
        return tuple(shape[1:]) if shape else None

    def layout(self) -> Any:
        """Return the layout of images of three sides."""
        formats = [layer["config"].get("data_format") for layer in self._walk()]
        return "nchw" if "channels_first" in formats else "nhwc"

    def rescales(self) -> bool:
        """Return whether the first step makes small numbers of those up to 255."""
        kinds = [layer for layer in self._walk() if layer["class_name"] != "InputLayer"]
        if not kinds or kinds[0]["class_name"] != "Rescaling":
            return False
        scale = kinds[0]["config"].get("scale")
        return isinstance(scale, int | float) and 100.0 < 1.0 / max(scale, 1e-9) < 300.0

    def run(self, weaver: Weaver, weights: Weights, images: Value) -> Value:
        """Return what the model gives."""
        counts: dict[str, int] = {}
        before: dict[str, int] = {}
        for layer in self.layers:
            kind = layer["class_name"]
            before[_name(layer)] = counts.get(kind, 0)
            counts[kind] = counts.get(kind, 0) + 1
        if self.config.get("output_layers") is None:
            value = images
            for layer in self.layers:
                value = self._apply(weaver, weights, layer, [value], before)
            return value
        return _Functional(self, weaver, weights, images, before).output()

    def _apply(
        self,
        weaver: Weaver,
        weights: Weights,
        layer: Mapping[str, Any],
        values: list[Value],
        before: Mapping[str, int],
    ) -> Value:
        kind, name = str(layer["class_name"]), self.prefix + _name(layer)
        if kind == "InputLayer":
            return values[0]
        if kind in MODELS:
            inner = _Model(self.path, layer, f"{name}/")
            return inner.run(weaver, weights, values[0])
        convert = LAYERS.get(kind)
        module = str(layer.get("module") or "keras.layers")
        own = module.split(".")[0] in ("keras", "tf_keras") and not (
            layer.get("registered_name") or ""
        ).count(">")
        if convert is None or not own:
            why = (
                "is code of its own and never run"
                if kind == "Lambda" or not own
                else (f"is not converted; converted are {', '.join(sorted(LAYERS))}")
            )
            raise refused(self.path, f"the layer {name!r} ({kind}) {why}")
        described = Layer(name, dict(layer["config"]), weights(name, kind, before[_name(layer)]))
        try:
            return activated(weaver, described, convert(weaver, described, values))
        except Unconverted as error:
            raise refused(self.path, f"the layer {name!r} ({kind}): {error}") from None
        except (ValueError, IndexError, TypeError, KeyError, RuntimeError) as error:
            raise refused(
                self.path, f"the layer {name!r} ({kind}) cannot be converted: {error}"
            ) from error


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer.get("name") or layer["config"].get("name"))


class _Functional:
    """A graph of layers, evaluated from its output backwards."""

    def __init__(
        self,
        model: _Model,
        weaver: Weaver,
        weights: Weights,
        images: Value,
        before: Mapping[str, int],
    ) -> None:
        self.model, self.weaver, self.weights, self.before = model, weaver, weights, before
        self.layers = {_name(layer): layer for layer in model.layers}
        self.known: dict[tuple[str, int], Value] = {}
        (first,) = self._ends("input_layers")
        self.known[first] = images

    def _ends(self, key: str) -> list[tuple[str, int]]:
        ends = self.model.config[key]
        ends = [ends] if ends and isinstance(ends[0], str) else ends
        if isinstance(ends, dict):
            ends = list(ends.values())
        if len(ends) != 1:
            what = key.removesuffix("_layers")
            raise refused(self.model.path, f"has {len(ends)} {what}s; one is converted")
        return [(str(end[0]), int(end[1])) for end in ends]

    def output(self) -> Value:
        """Return the value of the one output."""
        (end,) = self._ends("output_layers")
        pending, limit = [end], 100_000
        while pending:
            name, node = pending[-1]
            if (name, node) in self.known:
                pending.pop()
                continue
            sources = self._sources(name, node)
            missing = [source for source in sources if source not in self.known]
            limit -= 1
            if missing and (limit < 0 or any(source in pending for source in missing)):
                raise refused(self.model.path, f"the layer {name!r} depends on itself")
            if missing:
                pending += missing
                continue
            values = [self.known[source] for source in sources]
            self.known[name, node] = self.model._apply(
                self.weaver, self.weights, self.layers[name], values, self.before
            )
            pending.pop()
        return self.known[end]

    def _sources(self, name: str, node: int) -> list[tuple[str, int]]:
        """Return which results of which layers a call of a layer takes."""
        if name not in self.layers or node >= len(self.layers[name].get("inbound_nodes") or []):
            raise refused(self.model.path, f"takes the layer {name!r}, which is nowhere")
        call = self.layers[name]["inbound_nodes"][node]
        found = list(_histories(call["args"] if isinstance(call, dict) else call))
        if not found:
            raise refused(self.model.path, f"the layer {name!r} takes no other layer's values")
        return found


def _histories(value: Any) -> Iterator[tuple[str, int]]:
    """Yield the layers (and which of their calls) that a call's arguments are of."""
    if isinstance(value, dict):
        if "keras_history" in value.get("config", {}):
            name, node, _ = value["config"]["keras_history"]
            yield str(name), int(node)
    elif isinstance(value, list):
        old = len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)
        if old:
            yield str(value[0]), int(value[1])
            return
        for item in value:
            yield from _histories(item)


KERAS = FileFormat("keras", (".keras", ".h5", ".hdf5"), read_keras)
