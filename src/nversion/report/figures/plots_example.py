"""The figure of all attacks on one image, after figure 3 of the study of 2019."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nversion.report.example import Change, Example, Pixels, Shown, example_of
from nversion.report.figures import palette
from nversion.report.figures.drawing import Canvas, Drawing
from nversion.report.values import decimal
from nversion.study.sections import Results

__all__ = ["attack_gallery"]

# Seen on white and on near black alike: a difference lies on the page's own colour.
_LIGHTER = (0.84, 0.24, 0.18)
_DARKER = (0.16, 0.50, 0.85)

_GAP = 5  # CSS pixels between an image and its difference.
_MARGIN = 16  # Between one attack and the next.
_TITLE_GAP = 3  # Between an attack's name and its image.


def attack_gallery(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the original, and for each attack its image and the difference to the original.

    All differences share one scale, so that attacks can be compared.
    """
    example = example_of(results)
    if example is None:
        return None
    columns = 2 if canvas.narrow else 4
    lines = math.ceil((len(example.attacks) + 1) / columns)
    width = (canvas.width - _MARGIN * (columns - 1)) / columns
    side = (width - _GAP) / 2
    tall = side * example.original.shape[0] / example.original.shape[1]
    line_height = 1.35 * canvas.font
    height = tall + _TITLE_GAP + 3 * line_height + 14
    drawing = Drawing.blank(canvas, round(lines * height))
    # Every place is reckoned here, in CSS pixels.
    drawing.figure.set_layout_engine("none")
    grid = _Grid(drawing, canvas, side, tall, line_height)
    scale = _scale(example)
    for place, attack in enumerate([None, *example.attacks]):
        line, column = divmod(place, columns)
        grid.move(column * (width + _MARGIN), line * height)
        if attack is None:
            grid.original(example, scale)
        else:
            grid.attack(attack, scale)
    drawing.alt = _in_words(example)
    return drawing


class _Grid:
    """Places pictures and words in CSS pixels from a cell's upper left corner."""

    def __init__(
        self, drawing: Drawing, canvas: Canvas, side: float, tall: float, line_height: float
    ) -> None:
        self._figure = drawing.figure
        self._width = canvas.width
        self._height = drawing.figure.get_figheight() * drawing.figure.dpi
        self._font = canvas.font
        self._side, self._tall, self._line = side, tall, line_height
        self._left = self._top = 0.0

    def move(self, left: float, top: float) -> None:
        self._left, self._top = left, top

    def original(self, example: Example, scale: float) -> None:
        self._words("original", 0, -1)
        self._picture(example.original)
        self._words(f"class {example.label}", 0, 0, muted=True)
        full = f"full at ±{decimal(scale, 2)}"
        said = ("difference:", "blue is darker,", "red is lighter,", full)
        for row, words in enumerate(said):
            self._words(words, 1, row, below=False, muted=True)

    def attack(self, attack: Shown, scale: float) -> None:
        self._words(attack.name, 0, -1)
        if attack.image is None:
            self._frame(0)
            self._words("did not succeed", 0, 0, muted=True)
            return
        self._picture(attack.image)
        self._words(f"taken for {attack.prediction}", 0, 0, muted=True)
        if attack.reason:
            self._words("left out", 0, 1)
        if attack.change is not None:
            self._picture(_tinted(attack.change, scale), second=True)
        if attack.l2 is not None:
            self._words(f"L2 {attack.l2:.2f}", 1, 0, muted=True)
        if attack.linf is not None:
            self._words(f"L∞ {attack.linf:.2f}", 1, 1, muted=True)

    def _axes(self, place: int) -> Axes:
        left = self._left + place * (self._side + _GAP)
        bottom = self._height - (self._top + self._line + _TITLE_GAP + self._tall)
        box = (left / self._width, bottom / self._height)
        size = (self._side / self._width, self._tall / self._height)
        axes = self._figure.add_axes((*box, *size))
        axes.set_axis_off()
        return axes

    def _picture(self, pixels: Pixels | Change, *, second: bool = False) -> None:
        axes = self._frame(int(second))
        # Not resampled: the page and the SVG file hold the image's own pixels.
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="none", aspect="auto")

    def _frame(self, place: int) -> Axes:
        axes = self._axes(place)
        axes.add_patch(
            Rectangle(
                (0, 0),
                1,
                1,
                transform=axes.transAxes,
                fill=False,
                edgecolor=palette.AXIS,
                linewidth=0.6,
                zorder=3,
                clip_on=False,
            )
        )
        return axes

    def _words(
        self,
        words: str,
        place: int,
        row: int,
        *,
        below: bool = True,
        muted: bool = False,
    ) -> None:
        """Write a line under a picture, over it (row -1), or in its place."""
        x = self._left + place * (self._side + _GAP)
        y = self._top + 0.8 * self._line
        if row >= 0:
            y += _TITLE_GAP + (self._tall + 2 if below else 0) + (row + 1) * self._line
        self._figure.text(
            x / self._width,
            1 - y / self._height,
            words,
            color=palette.MUTED if muted else palette.INK,
            fontsize=self._font - 1,
            va="baseline",
        )


def _scale(example: Example) -> float:
    """Return the change that has full colour: the median of the attacks' largest.

    Scaled to the largest of all, one attack that turns single pixels from black to white would make
    every other difference invisible.
    """
    changes = [attack.change for attack in example.attacks if attack.change is not None]
    largest = [float(np.abs(change).max()) for change in changes if change.any()]
    return float(np.median(largest)) if largest else 1.0


def _tinted(change: Change, scale: float) -> Change:
    """Return a difference as colours [height, width, 4]: the larger, the less transparent."""
    colours = np.where((change > 0)[..., None], _LIGHTER, _DARKER)
    opacity = np.clip(np.abs(change) / scale, 0, 1)
    tinted: Change = np.concatenate([colours, opacity[..., None]], axis=-1)
    return tinted


def _in_words(example: Example) -> str:
    said = []
    for attack in example.attacks:
        if attack.image is None:
            said.append(f"{attack.name} did not succeed")
            continue
        size = f", L2 {attack.l2:.2f}" if attack.l2 is not None else ""
        said.append(f"{attack.name} is taken for {attack.prediction}{size}")
    return (
        f"Grid of pictures: an image of class {example.label}, and what each attack made of it, "
        f"with the difference. {'; '.join(said)}."
    )
