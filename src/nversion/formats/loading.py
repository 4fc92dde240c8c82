"""``nversion.load_version``: a version of whatever file or folder holds a network."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.batches import dtype_of
from nversion.errors import ArtefactError, InputError
from nversion.files import sha256_of_file
from nversion.formats.base import FileFormat, Loaded
from nversion.formats.classes import with_classes
from nversion.formats.exported import EXPORTED
from nversion.formats.feed import Feed, feed_beside, parse_feed
from nversion.formats.keras_files import KERAS
from nversion.formats.modules import HUGGING_FACE, SAFETENSORS, TORCHSCRIPT
from nversion.formats.onnx_files import ONNX
from nversion.formats.plain import Normalise
from nversion.formats.reference import REFERENCE, read_reference
from nversion.modes import ordinary
from nversion.outputs import as_logits, asked, kind_of, one_number, pick
from nversion.randomness import generator
from nversion.reading import check_name
from nversion.repeats import check_repeats
from nversion.versions import Origin, Record, Version

__all__ = ["FORMATS", "format_of", "load_version", "weights_digest"]

FORMATS: tuple[FileFormat, ...] = (
    ONNX,
    KERAS,
    EXPORTED,
    TORCHSCRIPT,
    SAFETENSORS,
    HUGGING_FACE,
)

PROBES = 8
"""Images that a network is tried on, and compared with its own runtime."""

TOLERANCE = 1e-3
"""By how much outputs may differ from those of a file's own runtime, of the largest of them."""

PICKLES = (".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".npy")


@typed
@ordinary()
def load_version(
    path: str | Path,
    feed: Feed | str | None = None,
    *,
    trust: bool = False,
) -> Version:
    """Load a version of a file or a folder.

    Args:
        path: a folder that :meth:`nversion.Version.save` wrote, or that a study made of a file (it
            refers to the file), or what another library wrote: an
            ONNX file (``.onnx``), a Keras 3 file (``.keras``, ``.h5``), an exported program of
            PyTorch (``.pt2``), the folder of an image classifier of Hugging Face's; with `trust`,
            TorchScript, or safetensors with a factory.
        feed: how it is fed, as a :class:`Feed` or in short (``"layout=nhwc,range=0:255"``); what
            it does not say is taken from ``version.toml`` beside the file, else guessed.
        trust: whether code that comes with it may run.

    Returns:
        The version; of one that was not trained here, the record's ``origin`` says where it is
        from, and the model is made of plain layers, where its file could be converted.

    Raises:
        InputError: there is no such file, it is of no known format, or `feed` is wrong.
        MissingExtraError: a package that reads it is not installed; the extra is named.
        ArtefactError: it is damaged, or holds what is not converted; the message names it.
    """
    path = Path(path)
    if (path / "record.json").is_file():
        return Version.load(path)
    if (path / REFERENCE).is_file():
        return _referred(path, trust)
    form = format_of(path)
    if form.trust and not trust:
        raise InputError(
            f"{path}: a file of the format {form.name} comes with code that is run when it is "
            "loaded; if you trust whoever made it, say --trust (trust=True in Python)"
        )
    given = parse_feed(feed) if isinstance(feed, str) else feed or Feed()
    loaded = form.read(path, given.over(feed_beside(path)))
    return _version(path, form, loaded)


def _referred(folder: Path, trust: bool) -> Version:
    """Return the version that a folder refers to, under its own name.

    Raises:
        ArtefactError: its file has changed, or cannot be read.
        InputError: its file is gone, or comes with code and is not trusted.
    """
    reference = read_reference(folder)
    path = reference.found_from(folder)
    if (path / REFERENCE).is_file():
        raise ArtefactError(f"{folder}: refers to {path}, which refers to another file itself")
    version = load_version(path, reference.feed_of(), trust=trust)
    if weights_digest(path, version) != reference.sha256:
        raise ArtefactError(
            f"{path}: is not the file that {folder} refers to: its SHA-256 is another; put the "
            "file back, or run the study again with the new one"
        )
    if reference.classes:
        version = with_classes(version, reference.classes)
    record = dataclasses.replace(version.record, name=reference.name)
    return dataclasses.replace(version, name=reference.name, record=record)


def weights_digest(path: Path, version: Version) -> str:
    """Return the SHA-256 of the file that holds a version's weights."""
    origin = version.record.origin
    return sha256_of_file(path / "weights.safetensors") if origin is None else origin.sha256


def format_of(path: Path) -> FileFormat:
    """Return the format of a file or folder.

    Raises:
        InputError: there is none, or it is of no format that is read.
    """
    endings = ", ".join(ending for form in FORMATS for ending in form.endings)
    if path.is_dir():
        for form in FORMATS:
            if form.marks and (path / form.marks).is_file():
                return form
        inside = sorted(place.parent for place in path.glob("*/record.json"))
        hint = f"name one of the versions in it, such as {inside[0]}" if inside else ""
        hint = hint or f"name a version's folder, or a file that ends in {endings}"
        raise InputError(f"{path}: not a version's folder; {hint}")
    if not path.is_file():
        raise InputError(
            f"{path}: no such folder or file; make a version with `nversion train`, name one in a "
            f"study's versions/, or a file that ends in {endings}"
        )
    for form in FORMATS:
        if path.suffix.lower() in form.endings:
            return form
    if path.suffix.lower() in PICKLES:
        raise InputError(
            f"{path}: may be a pickle, which can run any code and is never opened; save the "
            "network as ONNX or with torch.export, or its weights as safetensors"
        )
    raise InputError(f"{path}: no network's file; such files end in {endings}")


def _version(path: Path, form: FileFormat, loaded: Loaded) -> Version:
    """Return the version of what was read: fed as it wants to be, giving logits."""
    feed, shape = loaded.feed, loaded.feed.size
    assert shape is not None
    name = check_name(feed.name or _stem(path), f"the version of {path}", InputError)
    fed = _fed(loaded.network, feed)
    probes = torch.rand(PROBES, *shape, generator=generator("formats", str(shape)))
    with torch.no_grad(), asked(str(path), shape):
        outputs = pick(_run(fed, probes), loaded.key, str(path))
        check_repeats(fed, probes[:2], f"what {path} says")
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        raise ArtefactError(f"{path}: gives no logits, but {type(outputs).__name__}")
    _check_faithful(path, loaded, fed, probes)
    model, feed, classes = _declared(path, fed, loaded.key, feed, outputs)
    if feed.classes and len(feed.classes) != classes:
        raise InputError(
            f"{path}: {len(feed.classes)} classes are named, but it tells {classes} apart"
        )
    origin = Origin(path.name, form.name, form.digest(loaded.weights), feed.facts())
    parameters = sum(one.numel() for one in model.parameters())
    record = _record(name, shape, classes, parameters, origin, feed.classes)
    return Version(name, None, model.eval(), record)


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _fed(network: nn.Module, feed: Feed) -> nn.Module:
    """Return a network of images in [0, 1]."""
    if feed.range is None and not feed.mean and not feed.std:
        return network.eval()
    low, high = feed.range or (0.0, 1.0)
    normalise = Normalise(low, high, feed.mean, feed.std).to(dtype_of(network))
    if isinstance(network, nn.Sequential):
        parts = [("normalise", normalise), *network.named_children()]
    else:
        parts = [("normalise", normalise), ("network", network)]
    return nn.Sequential(OrderedDict(parts)).eval()


def _run(model: nn.Module, images: Tensor) -> object:
    return model(images.to(dtype_of(model)))


def _check_faithful(path: Path, loaded: Loaded, fed: nn.Module, probes: Tensor) -> None:
    """Raise unless the network gives what the file's own runtime gives."""
    if loaded.reference is None:
        return
    with torch.no_grad():
        ours = _run(fed, probes)
        images = _arranged(probes, loaded.feed)
    assert isinstance(ours, Tensor)
    theirs = torch.from_numpy(np.asarray(loaded.reference(images.numpy()))).double()
    theirs = theirs.reshape(ours.shape) if theirs.numel() == ours.numel() else theirs
    if theirs.shape != ours.shape:
        raise ArtefactError(
            f"{path}: its own runtime gives {list(theirs.shape)}, the converted network "
            f"{list(ours.shape)}"
        )
    off = float((theirs - ours.double()).abs().max())
    if not off <= TOLERANCE * max(1.0, float(theirs.abs().max())):
        raise ArtefactError(
            f"{path}: its own runtime gives other outputs than the converted network, by {off:g}; "
            "say how it is fed (size, layout), or report the file"
        )


def _arranged(probes: Tensor, feed: Feed) -> Tensor:
    """Return images as the file takes them: in its range and in its layout."""
    low, high = feed.range or (0.0, 1.0)
    images: Tensor = Normalise(low, high, feed.mean, feed.std)(probes)
    if feed.layout in ("nhwc", "flat-nhwc"):
        images = images.permute(0, 2, 3, 1)
    elif feed.layout == "nwh":
        images = images.permute(0, 1, 3, 2)
    return images.contiguous()


def _declared(
    path: Path, fed: nn.Module, key: str | None, feed: Feed, outputs: Tensor
) -> tuple[nn.Module, Feed, int]:
    """Return a model of logits, its feed with the kind of outputs said, and how many classes."""
    kind = feed.outputs
    single = one_number(outputs, PROBES)
    if kind is None:
        flat = outputs.reshape(PROBES, -1)
        inside = bool(((flat >= 0) & (flat <= 1)).all())
        kind = ("probabilities" if inside else "logit") if single else kind_of(flat)
    if single != (kind == "logit") and not (single and kind == "probabilities"):
        numbers = outputs[0].numel()
        raise InputError(
            f"{path}: is said to give {kind}, but gives {numbers} number{'s' * (numbers > 1)} an "
            "image"
        )
    if outputs.ndim > 2 and not single and math.prod(outputs.shape[2:]) > 1:
        raise ArtefactError(f"{path}: gives {list(outputs.shape[1:])} an image, no logits")
    plain = kind in ("logits", "log-probabilities") and outputs.ndim == 2 and key is None
    model = fed if plain else as_logits(fed, kind, key)
    classes = 2 if single else int(outputs.shape[1])
    return model, dataclasses.replace(feed, outputs=kind), classes


def _record(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    parameters: int,
    origin: Origin,
    class_names: tuple[str, ...],
) -> Record:
    unknown = math.nan
    return Record(
        name=name,
        dataset="",
        dataset_digest="",
        shape=shape,
        classes=classes,
        seed=0,
        recipe={},
        precision="",
        parameters=parameters,
        steps=0,
        loss=unknown,
        train_accuracy=unknown,
        train_accuracy_images=0,
        test_accuracy=unknown,
        seconds=unknown,
        libraries={},
        origin=origin,
        class_names=class_names,
    )
