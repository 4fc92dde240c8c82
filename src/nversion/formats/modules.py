"""Networks whose code is not in their file: PyTorch's own formats, and Hugging Face's classifiers.

TorchScript (``.pt``) is code, and so is the factory that weights in safetensors are put into: both
are loaded only with trust. A classifier of Hugging Face's is built by the installed library
``transformers``, of its own classes alone, and its weights are safetensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from nversion.errors import ArtefactError, InputError
from nversion.extras import needed
from nversion.files import TEMPORARY_FOLDER, read_object
from nversion.formats.base import FileFormat, Loaded, refused
from nversion.formats.exported import read_exported
from nversion.formats.feed import Feed, settled
from nversion.formats.plain import Arrange
from nversion.formats.writing import quiet
from nversion.randomness import generator
from nversion.reading import printable

__all__ = ["HUGGING_FACE", "SAFETENSORS", "TORCHSCRIPT"]


def _laid_out(network: nn.Module, feed: Feed) -> nn.Module:
    """Return a network of images with channels first."""
    assert feed.size is not None
    channels, height, width = feed.size
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]] = {
        "nchw": ((0, 1, 2, 3), None),
        "nhwc": ((0, 2, 3, 1), None),
        "nhw": ((0, 1, 2, 3), (height, width)),
        "nwh": ((0, 1, 3, 2), (width, height)),
        "flat": ((0, 1, 2, 3), (channels * height * width,)),
        "flat-nhwc": ((0, 2, 3, 1), (channels * height * width,)),
    }
    order, shape = shapes[str(feed.layout)]
    if order == (0, 1, 2, 3) and shape is None:
        return network
    return nn.Sequential(Arrange(order, shape), network)


class Scripted(nn.Module):
    """A network of TorchScript, which by itself cannot be handed to another process."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        """Return what the network gives."""
        return self.network(images)

    def __reduce__(self) -> Any:
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the format is old
            torch.jit.save(self.network, buffer)
        return _scripted, (buffer.getvalue(), self.training)


def _scripted(content: bytes, training: bool) -> Scripted:
    """Return a network of TorchScript that was handed over by its own process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return Scripted(network).train(training)


def read_torchscript(path: Path, feed: Feed) -> Loaded:
    """Read a TorchScript file; its code runs.

    Raises:
        ArtefactError: it is no such file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the format is old
            network = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise refused(
            path,
            "not readable as TorchScript; a pickle of a model or of its weights is never opened: "
            f"save the network with torch.export ({_first_line(error)})",
        ) from error
    feed = settled(feed, None, str(path))
    scripted = Scripted(network.eval()).eval()
    return Loaded(_laid_out(scripted, feed), feed, path, key=feed.key)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_safetensors(path: Path, feed: Feed) -> Loaded:
    """Read weights, and put them into what the factory builds; the factory's code runs.

    Raises:
        InputError: there is no factory, or it does not build a module.
        ArtefactError: the weights do not fit.
    """
    if feed.factory is None:
        raise InputError(
            f"{path}: holds weights alone; say with --input factory=package.module:function, or in "
            "version.toml beside it, what builds the network"
        )
    module_name, colon, function = feed.factory.partition(":")
    if not colon:
        raise InputError(f"factory must be package.module:function, not {feed.factory!r}")
    try:
        network = getattr(importlib.import_module(module_name), function)()
    except Exception as error:  # whatever somebody else's function does
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]
        hint = "; put its folder on PYTHONPATH, or install it" if missing else ""
        raise InputError(
            f"{path}: the factory {feed.factory} failed: {type(error).__name__}: {error}{hint}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{path}: the factory {feed.factory} must return a torch.nn.Module, not "
            f"{type(network).__name__}"
        )
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(str(path)))
    except Exception as error:  # of safetensors, and of shapes that do not fit
        raise refused(path, f"does not fit {feed.factory}: {_first_line(error)}") from error
    feed = settled(feed, None, str(path))
    return Loaded(_plain(_laid_out(network.eval(), feed), feed), feed, path, key=feed.key)


class _Logits(nn.Module):
    """A classifier of Hugging Face's, as a model of its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [count, classes]."""
        logits: Tensor = self.network(images).logits
        return logits


def read_hugging_face(path: Path, feed: Feed) -> Loaded:
    """Read the folder of an image classifier.

    Raises:
        MissingExtraError: the package transformers is not installed.
        ArtefactError: it is another kind of model, has code of its own, or no safetensors.
    """
    config = read_object(path / "config.json")
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise ArtefactError(
            f"{path}: holds no model.safetensors; save it again with "
            "save_pretrained(folder, safe_serialization=True)"
        )
    if "auto_map" in config:
        raise ArtefactError(f"{path}: comes with code of its own, which is never run")
    library = needed("transformers", "transformers", f"{path}: a folder of Hugging Face's")
    try:
        with _without_bars(library):
            network = library.AutoModelForImageClassification.from_pretrained(
                str(path), local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
    except Exception as error:  # of a library that raises what it likes
        raise refused(
            path, f"not readable as an image classifier ({_first_line(error)})"
        ) from error
    feed = _preprocessing(path, feed, config)
    feed = settled(feed, None, str(path))
    network.eval()
    return Loaded(_plain(_laid_out(_Logits(network), feed), feed), feed, weights, key=feed.key)


@contextlib.contextmanager
def _without_bars(library: Any) -> Iterator[None]:
    """Keep the library's progress bars from the reader."""
    settings = library.utils.logging
    shown = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            settings.enable_progress_bar()


def _plain(network: nn.Module, feed: Feed) -> nn.Module:
    """Return a network as plain layers, if it is one that certificates cannot trace as it is.

    It is exported and read back as a file would be; where that is not possible, or comes to other
    outputs, it is returned as it is.
    """
    assert feed.size is not None
    try:
        fx.symbolic_trace(network)
    except Exception:  # of whatever the network's code does
        pass
    else:
        return network
    images = torch.rand(2, *feed.size, generator=generator("formats", "plain"))
    try:
        with quiet(), tempfile.TemporaryDirectory(prefix=TEMPORARY_FOLDER) as folder:
            place = Path(folder) / "network.pt2"
            count = torch.export.Dim("count")
            program = torch.export.export(network, (images,), dynamic_shapes=({0: count},))
            torch.export.save(program, place)
            found = read_exported(place, Feed(size=feed.size, layout="nchw", key=feed.key)).network
        with torch.no_grad():
            alike = torch.allclose(found(images), network(images), rtol=1e-4, atol=1e-5)
    except Exception:  # of an exporter that raises what it likes, or what is not converted
        return network
    return found if alike else network


def _preprocessing(path: Path, feed: Feed, config: dict[str, Any]) -> Feed:
    """Return the feed with what the folder says of how images are prepared."""
    place = path / "preprocessor_config.json"
    facts = read_object(place) if place.is_file() else {}
    if feed.size is None:
        size = config.get("image_size", facts.get("size"))
        sides = _sides(size)
        if sides is not None:
            channels = int(config.get("num_channels", 3))
            feed = dataclasses.replace(feed, size=(channels, *sides))
    known = feed.mean or feed.std or feed.range
    if not known and facts.get("do_normalize"):
        mean, std = facts.get("image_mean") or (), facts.get("image_std") or ()
        feed = dataclasses.replace(feed, mean=tuple(mean), std=tuple(std))
    if not known and facts.get("do_rescale") is False:
        feed = dataclasses.replace(feed, range=(0.0, 255.0))
    if not feed.classes:
        feed = dataclasses.replace(feed, classes=_labels(path, config))
    return feed


def hugging_face_classes(path: Path) -> tuple[str, ...]:
    """Return what a folder says its classes are called.

    Raises:
        ArtefactError: its description cannot be read.
    """
    return _labels(path, read_object(path / "config.json"))


def _labels(path: Path, config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label")
    if not isinstance(names, dict):
        return ()
    if not all(key.isdecimal() for key in names):
        raise ArtefactError(f"{path / 'config.json'}: the keys of id2label must be numbers")
    found = tuple(printable(str(names[key]), keep="") for key in sorted(names, key=int))
    return () if all(name.startswith("LABEL_") for name in found) else found


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list) and len(size) == 2:
        return int(size[0]), int(size[1])
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    return None


TORCHSCRIPT = FileFormat("torchscript", (".pt", ".pth", ".ts"), read_torchscript, trust=True)
SAFETENSORS = FileFormat("safetensors", (".safetensors",), read_safetensors, trust=True)
HUGGING_FACE = FileFormat(
    "hugging-face",
    (),
    read_hugging_face,
    marks="config.json",
    classes=hugging_face_classes,
)
