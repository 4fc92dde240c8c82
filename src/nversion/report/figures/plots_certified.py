"""The figure of certified accuracy by radius, and of what attacks leave of it.

A certificate is a lower bound and an attack an upper one: the true share of images on which no
change up to a radius is an error lies between the two curves of a network. Attacks reach tens of
times as far as certificates, so that a figure that has both has a logarithmic axis of radii.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nversion.report.figures import palette
from nversion.report.figures.drawing import (
    DASHED,
    DOTTED,
    Canvas,
    Drawing,
    legend,
    share_axis,
)
from nversion.report.values import MISSING, decimal, norm_name
from nversion.study.sections import Results

__all__ = ["certified_accuracy"]

_DASHED_AND_DOTTED = (0, (5, 2, 1, 2))

_STYLES: dict[tuple[str, bool], dict[str, Any]] = {
    ("student", False): {"color": palette.STUDENT, "linestyle": "-", "linewidth": 2},
    ("baseline", False): {"color": palette.BASELINE, "linestyle": DASHED, "linewidth": 2},
    ("student", True): {"color": palette.STUDENT, "linestyle": DOTTED, "linewidth": 1.6},
    ("baseline", True): {
        "color": palette.BASELINE,
        "linestyle": _DASHED_AND_DOTTED,
        "linewidth": 1.6,
    },
}
"""By network, and whether it is attacked."""


class _Curve(NamedTuple):
    """Radii of one network: certified, or the smallest changes that attacks found."""

    name: str
    attacked: bool
    radii: list[float]

    @property
    def label(self) -> str:
        return f"{self.name}, attacked" if self.attacked else self.name

    def words(self, norm: str) -> str:
        """Return its median in words."""
        return f"{self.label} in {norm_name(norm)} {_median(self.radii)}"


def certified_accuracy(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the share of images whose certified radius is at least r, for each norm.

    Beside it, where the images were attacked, the share on which no attack found an error within r.
    """
    curves = _curves(results)
    if not curves:
        return None
    count = len(curves)
    attacked = any(curve.attacked for own in curves.values() for curve in own)
    height = 60 + (280 if attacked else 240) * count if canvas.narrow else 360 if attacked else 340
    drawing = Drawing.blank(canvas, height)
    shape = (count, 1) if canvas.narrow else (1, count)
    panels = drawing.figure.subplots(*shape, squeeze=False).ravel()
    for axes, (norm, own) in zip(panels, curves.items(), strict=True):
        handles = _panel(axes, own)
        axes.set_ylim(0, 1.02)
        axes.grid(visible=True, axis="both")
        axes.set_xlabel(f"radius in {norm_name(norm)}, pixel range [0, 1]")
        axes.set_ylabel("accuracy" if attacked else "certified accuracy")
        share_axis(axes, "y")
        legend(axes, handles, canvas, wide=2, narrow=2)
    drawing.alt = (
        "Share of images whose prediction is certified against every change up to a radius, "
        + ("and on which no attack found an error within it, " if attacked else "")
        + "falling as the radius grows. Median radius: "
        + f"{', '.join(curve.words(norm) for norm, own in curves.items() for curve in own)}."
    )
    return drawing


def _panel(axes: Axes, curves: Sequence[_Curve]) -> list[Artist]:
    """Draw the curves of one norm."""
    finite = [radius for curve in curves for radius in curve.radii if math.isfinite(radius)]
    positive = [radius for radius in finite if radius > 0]
    end, start = max(finite, default=1.0), 0.0
    if positive and any(curve.attacked for curve in curves):
        start, end = 0.7 * min(positive), 1.1 * max(positive)
        axes.set_xscale("log")
        axes.set_xlim(start, end)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
    handles: list[Artist] = []
    for curve in curves:
        style = _STYLES[curve.name, curve.attacked]
        x, y = _survival(curve.radii, start, end)
        (line,) = axes.plot(x, y, drawstyle="steps-pre", label=curve.label, **style)
        handles.append(line)
    return handles


def _median(radii: list[float]) -> str:
    """Write the median of the finite radii, and how many are infinite."""
    finite = [radius for radius in radii if math.isfinite(radius)]
    written = decimal(float(np.median(finite))) if finite else MISSING
    infinite = len(radii) - len(finite)
    return f"{written} ({infinite} of {len(radii)} are infinite)" if infinite else written


def _survival(radii: list[float], start: float, end: float) -> tuple[list[float], list[float]]:
    """Return the steps of the share of images certified up to r, as r grows from `start`.

    A radius of 0 says that there is no certificate, so it never counts. All others are above
    `start`. The share falls by one
    image just past that image's radius; infinite radii keep it up as far as `end`.
    """
    certified = sorted(radius for radius in radii if 0 < radius < math.inf)
    left = sum(radius == math.inf for radius in radii)
    shares = [(left + len(certified) - passed) / len(radii) for passed in range(len(certified) + 1)]
    x, y = [start, *certified, *certified[-1:]], [shares[0], *shares[:-1], *shares[-1:]]
    if not certified:
        x, y = [start], shares
    return ([*x, end], [*y, shares[-1]]) if left else (x, y)


def _curves(results: Results) -> dict[str, list[_Curve]]:
    """Return the curves by norm, where there are certificates; those of attacks come last."""
    known = results.certification
    found: dict[str, list[_Curve]] = {}
    for norm, pair in sorted(known.norms.items()):
        beside = known.attacked.get(norm)
        listed = [
            ("student", False, pair.student.radii),
            ("baseline", False, pair.baseline.radii),
            ("student", True, beside.student.distances if beside else []),
            ("baseline", True, beside.baseline.distances if beside else []),
        ]
        # An infinite radius is null in JSON, and so is the distance of an image that withstood.
        own = [
            _Curve(name, attacked, [math.inf if one is None else one for one in radii])
            for name, attacked, radii in listed
            if radii
        ]
        if any(not curve.attacked for curve in own):
            found[norm] = own
    return found
