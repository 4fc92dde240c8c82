"""Studies side by side as one HTML page, in the style of the report.

Like the report it needs nothing but itself: no scripts, nothing loaded, all text escaped.
"""

from __future__ import annotations

import jinja2

from nversion.comparison.compared import ABSENT, Compared
from nversion.comparison.differences import Difference
from nversion.evidence.record import Metric
from nversion.report.styles import style_sheet
from nversion.report.values import decimal, percent

__all__ = ["change_text", "page", "value_text"]


def page(compared: Compared) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nversion.comparison"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comparison.html").render(
        compared=compared,
        rows=[
            (row, [value_text(one) for one in row.metrics], _changes(row.metrics, row.differences))
            for row in compared.numbers
        ],
        styles=style_sheet(),
    )


def value_text(metric: Metric | None) -> tuple[str, str]:
    """Write a number, and below it its interval and images."""
    if metric is None:
        return ABSENT, ""
    notes = []
    if metric.interval is not None:
        low, high = (_number(metric, end) for end in (metric.interval.low, metric.interval.high))
        notes.append(f"{low} to {high}")
    if metric.images is not None:
        notes.append(f"{metric.images:,} images")
    return _number(metric, metric.value), ", ".join(notes)


def change_text(metric: Metric, change: Difference | None) -> tuple[str, str]:
    """Write a difference, and below it its interval."""
    if change is None:
        return ABSENT, ""
    share = metric.unit == "share"

    def signed(value: float) -> str:
        text = f"{100 * value:+.2f}" if share else f"{value:+.4g}"
        return text.replace("-", "\u2212")

    interval = ""
    if change.low is not None or change.high is not None:
        ends = [ABSENT if end is None else signed(end) for end in (change.low, change.high)]
        interval = " to ".join(ends)
    return signed(change.value) + (" points" if share else ""), interval


def _changes(
    metrics: tuple[Metric | None, ...], differences: tuple[Difference | None, ...]
) -> list[tuple[str, str, bool]]:
    known = next(metric for metric in metrics if metric is not None)
    return [(*change_text(known, one), one is not None and one.clear) for one in differences]


def _number(metric: Metric, value: float | None) -> str:
    return percent(value) if metric.unit == "share" else decimal(value, 4)
