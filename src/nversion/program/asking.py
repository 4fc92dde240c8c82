"""Asks versions about images, one by one, so that one that fails costs its own voice alone.

A version is evaluated as :func:`nversion.models.evaluate` does it. Where a batch raises or has
another shape than logits, its images are tried one by one: each image's answer, or the lack of it,
is its own.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nversion.batches import LAYOUTS, Layout, device_of, dtype_of, layout_of
from nversion.errors import InputError
from nversion.models import frozen
from nversion.outputs import check_outputs
from nversion.program.faults import KINDS, Fault, said
from nversion.program.voters import Outputs
from nversion.recognition import reader

__all__ = ["Answer", "Asked", "ask", "gather", "read"]

REASON_LENGTH = 200


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one version said of some images.

    Attributes:
        logits: float32 [count, classes], 0 where there is no answer; None if there is none at all.
        faults: what is wrong with it where it has no answer.
    """

    logits: Tensor | None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def missing(cls, version: int, kind: str, reason: str, count: int) -> Answer:
        """Return the answer of a version that has none."""
        return cls(None, (Fault(version, kind, reason, torch.ones(count, dtype=torch.bool)),))


@dataclasses.dataclass(frozen=True)
class Asked:
    """What all versions said of some images.

    Attributes:
        outputs: with the versions that have a voice, image by image.
        faults: why the others have none.
    """

    outputs: Outputs
    faults: tuple[Fault, ...]


def read(model: nn.Module, shape: tuple[int, ...], name: str = "the model") -> nn.Module:
    """Return a version as a model of logits; itself where what it gives cannot be told.

    Args:
        model: the version.
        shape: of an image, (channels, height, width).
        name: of the model, for messages.
    """
    try:
        return reader(model, shape, name)
    except Exception:  # whatever a faulty network does: asked about images, it will show it again
        return model


def ask(model: nn.Module, images: Tensor, batch_size: int, version: int = 0) -> Answer:
    """Return what a version says of images, whatever is wrong with it.

    Args:
        model: maps images to logits [count, classes]; used in evaluation mode.
        images: floating [count, channels, height, width] in [0, 1], at least one.
        batch_size: images a batch.
        version: its place, for faults.
    """
    count = len(images)
    try:
        with frozen(model), torch.no_grad():
            try:
                layout = layout_of(model, images.shape[1:])
            except Exception:  # whatever a faulty network does
                layout = LAYOUTS[-1]
            return _answer(model, layout, images, batch_size, version)
    except Exception as error:
        return Answer.missing(version, "raises", _raised(error), count)


def _answer(
    model: nn.Module, layout: Layout, images: Tensor, batch_size: int, version: int
) -> Answer:
    pieces: list[tuple[Tensor, Tensor]] = []
    wrong: dict[str, tuple[str, list[Tensor]]] = {}
    for rows, wanted in layout.chunks(len(images), batch_size):
        outputs = _call(model, layout, images, rows)
        if isinstance(outputs, Tensor):
            pieces.append((rows[:wanted], outputs[:wanted].to("cpu", torch.float32)))
            continue
        for row in rows[:wanted]:
            alone = row.expand(layout.block)
            outputs = _call(model, layout, images, alone)
            if isinstance(outputs, Tensor):
                pieces.append((row[None], outputs[:1].to("cpu", torch.float32)))
            else:
                kind, reason = outputs
                wrong.setdefault(kind, (reason, []))[1].append(row)
    faults = [
        Fault(version, kind, reason, _marked(torch.stack(rows), len(images)))
        for kind, (reason, rows) in wrong.items()
    ]
    if not pieces:
        return Answer(None, tuple(faults))
    classes = Counter(part.shape[1] for _, part in pieces).most_common(1)[0][0]
    logits = torch.zeros(len(images), classes)
    for rows, part in pieces:
        if part.shape[1] == classes:
            logits[rows] = part
        else:
            reason = f"gives {part.shape[1]} classes for some images and {classes} for others"
            faults.append(Fault(version, "shape", reason, _marked(rows, len(images))))
    return _finite(logits, faults, version)


def _finite(logits: Tensor, faults: list[Fault], version: int) -> Answer:
    """Return the answer with rows that are not finite taken out."""
    if bool(logits.isfinite().all()):
        return Answer(logits, tuple(faults))
    nan = logits.isnan().any(dim=1)
    infinite = logits.isinf().any(dim=1) & ~nan
    for kind, rows in (("nan", nan), ("infinite", infinite)):
        if bool(rows.any()):
            what = "NaN" if kind == "nan" else "infinite logits"
            faults.append(Fault(version, kind, f"gives {what}", rows))
    return Answer(logits.masked_fill((nan | infinite)[:, None], 0.0), tuple(faults))


def _call(
    model: nn.Module, layout: Layout, images: Tensor, rows: Tensor
) -> Tensor | tuple[str, str]:
    """Return the logits of some rows, or the kind of fault and its reason."""
    try:
        batch = images[rows.to(images.device)]
        batch = batch.to(device=device_of(model), dtype=dtype_of(model)).contiguous()
        outputs: Any = layout.call(model, batch)
    except Exception as error:
        return "raises", _raised(error)
    try:
        return check_outputs(outputs, len(rows), "it").detach()
    except InputError as error:
        reason = str(error).partition("but gave")[2].partition(";")[0].strip()
        return "shape", f"gives {reason} instead of logits [count, classes]"


def _raised(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0][:REASON_LENGTH]
    return f"raises {type(error).__name__}{f': {first}' if first else ''}"


def _marked(rows: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool).index_fill(0, rows, True)


def gather(answers: Sequence[Answer], count: int) -> Asked:
    """Return what all versions said; one with another number of classes than most has no voice.

    Args:
        answers: of the versions, in order.
        count: of images.

    Raises:
        InputError: no version answers any image.
    """
    sizes = Counter(one.logits.shape[1] for one in answers if one.logits is not None)
    faults = [fault for one in answers for fault in one.faults]
    if not sizes:
        raise InputError(f"no version answers: {said(faults)}")
    classes = sizes.most_common(1)[0][0]
    present = torch.ones(len(answers), count, dtype=torch.bool)
    logits = []
    for place, answer in enumerate(answers):
        stated = answer.logits
        if stated is not None and stated.shape[1] != classes:
            reason = f"gives {stated.shape[1]} classes, where most versions give {classes}"
            faults.append(Fault(place, "shape", reason, torch.ones(count, dtype=torch.bool)))
            stated = None
        logits.append(torch.zeros(count, classes) if stated is None else stated)
    for fault in faults:
        present[fault.version] &= ~fault.images
    faults.sort(key=lambda one: (one.version, KINDS.index(one.kind)))
    outputs = Outputs.from_logits(logits)
    if not bool(present.all()):
        outputs = dataclasses.replace(outputs, present=present)
    return Asked(outputs, tuple(faults))
