"""The figure of faulty versions: its words are the campaign's numbers."""

from __future__ import annotations

import pytest

from nversion.program.campaigns.injecting import Injected, InjectionReport
from nversion.report.figures.drawing import NARROW, WIDE, Canvas, house_style
from nversion.report.figures.plots_faults import faults
from nversion.report.figures.svg import inline_svg


def campaign(kinds: tuple[str, ...]) -> InjectionReport:
    """Five versions: two faulty ones are voted out, with more the program abstains or errs."""
    found = [(190, 2), (190, 2), (188, 4), (0, 200), (20, 30)]
    names = [f"v{n}" for n in range(4)]
    rows = [
        Injected(kind, names[:k], [], right, 200 - right - none, none, right / 200, 0)
        for kind in kinds
        for k, (right, none) in enumerate(found)
    ]
    return InjectionReport("majority", 3, 200, True, 0, 10, rows)


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("kinds", [("nan",), ("raise", "nan", "shape", "constant")])
def test_every_kind_has_its_bars(canvas: Canvas, kinds: tuple[str, ...]) -> None:
    with house_style(canvas.font):
        drawing = faults(campaign(kinds), canvas)
        shown = inline_svg(drawing, "a", "figure")
        bars = [axes.patches for axes in drawing.figure.axes if axes.patches]
    assert [len(one) for one in bars] == [15] * len(kinds)
    # Right, none and wrong fill the height.
    for one in bars:
        top = [one[10 + k].get_y() + one[10 + k].get_height() for k in range(5)]  # type: ignore[attr-defined]
        assert top == pytest.approx([1.0] * 5)
    for kind in kinds:
        assert (
            f"{kind}, 95.00\u202f% right with none and 10.00\u202f% with 4, at the most "
            "75.00\u202f% wrong (with 4)" in drawing.alt
        )
        assert kind in shown
    assert "majority (quorum 3) on 200 images" in drawing.alt
