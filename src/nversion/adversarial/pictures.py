"""Pictures of adversarial images: a contact sheet, one image beside its original, one grid.

Each function returns a ``matplotlib.figure.Figure`` made without pyplot, so that nothing global is
touched and the caller decides where it goes: ``figure.savefig("sheet.png")``, or into the report.
Pixels are drawn as they are (no interpolation), greyscale from black to white. A difference is
drawn from blue (darker) over white (unchanged) to red (lighter), on a scale that is stated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.adversarial.changes import strongest_change
from nversion.errors import InputError
from nversion.models import check_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["attack_grid", "comparison", "contact_sheet"]

FloatArray = npt.NDArray[np.float32]

GAP = 0.35
"""Between the images of a contact sheet, as a share of an image's height, for the captions."""

NARROW_GAP = 0.08
"""Between neighbours in a row."""

INCH_PER_IMAGE = 0.62


def contact_sheet(adversarial: AdversarialSet, columns: int = 16) -> Figure:
    """Draw a sample of the set: one row per attack, spread evenly over its images.

    Under each image: the true class, an arrow, what the attacked version takes it for.

    Args:
        adversarial: the set.
        columns: images per attack, at most.

    Raises:
        InputError: the set is empty, or `columns` is below 1.
    """
    if columns < 1:
        raise InputError(f"columns must be at least 1, not {columns}")
    if len(adversarial) == 0:
        raise InputError("the adversarial set is empty; there is nothing to draw")
    rows = [
        (name, (adversarial.attack_ids == i).nonzero().squeeze(1))
        for i, name in enumerate(adversarial.attacks)
    ]
    rows = [(name, members) for name, members in rows if len(members)]
    columns = min(columns, max(len(members) for _, members in rows))
    height, width = adversarial.images.shape[2:]
    step_x, step_y = width * (1 + NARROW_GAP), height * (1 + GAP)
    label_width = 2.0 * width

    sheet_width, sheet_height = label_width + columns * step_x, len(rows) * step_y
    scale = INCH_PER_IMAGE / width
    figure = _figure(figsize=(sheet_width * scale, sheet_height * scale))
    axes = figure.add_axes((0, 0, 1, 1))
    for row, (name, members) in enumerate(rows):
        top = row * step_y
        axes.text(
            label_width - 0.15 * width,
            top + height / 2,
            f"{name}\n{len(members)} images",
            ha="right",
            va="center",
            fontsize=6.5,
            parse_math=False,
        )
        for column, index in enumerate(_spread(members, columns)):
            left = label_width + column * step_x
            box = (left, left + width, top + height, top)
            _draw(axes, adversarial.images[index], box)
            caption = f"{int(adversarial.labels[index])}→{int(adversarial.predictions[index])}"
            axes.text(
                left + width / 2, top + height * 1.04, caption, ha="center", va="top", fontsize=6
            )
    axes.set_xlim(0, sheet_width)
    axes.set_ylim(sheet_height, -0.05 * height)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def _named(prediction: int) -> str:
    """Return a class's number; a vote may name none."""
    return "no class" if prediction < 0 else str(prediction)


def comparison(
    original: Tensor,
    adversarial: Tensor,
    *,
    label: int,
    original_prediction: int,
    adversarial_prediction: int,
    title: str = "",
) -> Figure:
    """Draw an original, its adversarial image, and the difference, with both predictions.

    Args:
        original: float32 [channels, height, width] in [0, 1].
        adversarial: likewise.
        label: the true class.
        original_prediction: the version's prediction on the original.
        adversarial_prediction: its prediction on the adversarial image.
        title: above the three, for example the version's and the attack's name.

    Raises:
        InputError: malformed images, or images that differ in shape.
    """
    _check_pair(original, adversarial[None])
    figure = _figure(figsize=(6.6, 2.9), layout="constrained")
    axes = figure.subplots(1, 3)
    _show(axes[0], _pixels(original), f"original, class {label}")
    axes[0].set_xlabel(f"prediction: {original_prediction}", fontsize=9)
    _show(axes[1], _pixels(adversarial), "adversarial")
    axes[1].set_xlabel(f"prediction: {_named(adversarial_prediction)}", fontsize=9)
    change = strongest_change(original, adversarial)
    scale = _scale_of(change)
    _show(axes[2], change, f"difference (±{scale:.2g})", limit=scale)
    axes[2].set_xlabel(_distances(original, adversarial), fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def attack_grid(
    original: Tensor,
    images: Tensor,
    names: Sequence[str],
    *,
    label: int,
    predictions: Tensor,
    columns: int = 4,
    title: str = "",
) -> Figure:
    """Draw all attacks on one image: each attack's image, and its difference to the original.

    An attack that failed (its image is the original) is shown as such. All differences share one
    scale, so that attacks can be compared.

    Args:
        original: float32 [channels, height, width] in [0, 1].
        images: float32 [attacks, channels, height, width], what each attack made of it.
        names: the attacks' names.
        label: the true class.
        predictions: int64 [attacks], of the attacked version on `images`.
        columns: attacks side by side; two for a phone's width.
        title: above the grid.

    Raises:
        InputError: malformed images, or parts that differ in length.
    """
    _check_pair(original, images)
    if not len(names) == len(images) == len(predictions) or len(names) == 0 or columns < 1:
        raise InputError(
            f"there must be one name and one prediction for each image, and one column at least, "
            f"not {len(names)} names, {len(images)} images, {len(predictions)} predictions and "
            f"{columns} columns"
        )
    columns = min(columns, len(names) + 1)
    lines = math.ceil((len(names) + 1) / columns)
    # Scaled to what is typical rather than to the largest: one attack that turns single pixels from
    # black to white would otherwise make all other differences invisible.
    changes = [strongest_change(original, image) for image in images]
    scales = [_scale_of(change) for change in changes if change.any()]
    scale = float(np.median(scales)) if scales else 1.0
    figure = _figure(figsize=(2.5 * columns, 1.75 * lines), layout="constrained")
    cells = figure.subplots(lines, 2 * columns, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    _show(cells[0, 0], _pixels(original), "original")
    cells[0, 0].set_xlabel(f"class {label}", fontsize=8)
    cells[0, 1].text(
        0.0, 0.5, f"differences:\nblue darker,\nred lighter,\nscale ±{scale:.2g}", fontsize=7
    )
    for position, (name, image, change) in enumerate(zip(names, images, changes, strict=True), 1):
        line, column = divmod(position, columns)
        left, right = cells[line, 2 * column], cells[line, 2 * column + 1]
        _show(left, _pixels(image), name)
        failed = not bool(change.any())
        verdict = "failed" if failed else f"taken for {_named(int(predictions[position - 1]))}"
        left.set_xlabel(verdict, fontsize=8)
        _show(right, change, "", limit=scale)
        right.set_xlabel("" if failed else _distances(original, image, short=True), fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def _figure(**options: Any) -> Figure:
    # Matplotlib takes long to import, and the processes that run attacks draw nothing.
    from matplotlib.figure import Figure

    return Figure(dpi=160, **options)


def _check_pair(original: Tensor, images: Tensor) -> None:
    check_images(images)
    if original.shape != images.shape[1:]:
        raise InputError(
            f"the original must be {list(images.shape[1:])} like the others, not "
            f"{list(original.shape)}"
        )
    check_images(original[None], "original")


def _spread(members: Tensor, count: int) -> list[int]:
    """Return `count` of the members at even distances, the first and the last among them."""
    if len(members) <= count:
        return [int(index) for index in members]
    positions = torch.linspace(0, len(members) - 1, count).round().long()
    return [int(index) for index in members[positions]]


def _pixels(image: Tensor) -> FloatArray:
    """Return [height, width] or [height, width, 3] for drawing; other channel counts averaged."""
    if image.shape[0] == 3:
        return image.permute(1, 2, 0).cpu().numpy()
    pixels: FloatArray = image.mean(dim=0).cpu().numpy()
    return pixels


def _scale_of(change: FloatArray) -> float:
    return max(float(np.abs(change).max()), 1e-3)


def _distances(original: Tensor, image: Tensor, short: bool = False) -> str:
    change = (image - original).double()
    l2, linf = float(change.square().sum().sqrt()), float(change.abs().max())
    return f"L2 {l2:.2f}" if short else f"L2 {l2:.2f}, L∞ {linf:.2f}"


def _draw(axes: Axes, image: Tensor, box: tuple[float, float, float, float]) -> None:
    axes.imshow(
        _pixels(image), cmap="gray", vmin=0, vmax=1, extent=box, interpolation="nearest", zorder=1
    )


def _show(axes: Axes, pixels: FloatArray, title: str, limit: float | None = None) -> None:
    axes.set_axis_on()
    if limit is None:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axes.imshow(pixels, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_title(title, fontsize=9, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("0.7")
        spine.set_linewidth(0.5)
