"""Tables of plain text, as every command prints them, and what is shown while one works."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["print_table", "size", "span", "stage_times", "working"]

# Without a terminal there is no width to keep to, and a script wants one line per row.
WIDTH_WITHOUT_TERMINAL = 10_000


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    total: Sequence[str] | None = None,
) -> None:
    """Print rows of plain text under heads on standard output.

    Args:
        heads: of the columns.
        rows: one text for each column.
        numbers: the heads of columns of numbers, which are set to the right and never broken.
        total: a last row, set apart.
    """
    # Rich takes a moment to import, and most commands need it last if at all.
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nversion.reading import printable

    table = Table(box=SIMPLE, show_footer=total is not None)
    for place, head in enumerate(heads):
        table.add_column(
            Text(head),
            footer=Text(total[place]) if total else "",
            justify="right" if head in numbers else "left",
            no_wrap=head in numbers,
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    if not sys.stdout.isatty():
        console.width = WIDTH_WITHOUT_TERMINAL
    # A table that is broken by a narrow terminal is ugly; one with numbers cut off is wrong.
    console.width = max(console.width, console.measure(table).minimum)
    console.print(table)


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal, while the block runs, that something goes on.

    For work whose pieces cannot be counted; what can is shown by a bar
    (:func:`nversion.progress.progress_bar`), which must not be inside the block.

    Args:
        what: is done, in a few words.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def stage_times(seconds: Mapping[str, float], discarded: float = 0.0) -> str:
    """Return where the time went, a line for each stage; "total" is the last.

    Args:
        seconds: by stage, of the work that the results consist of.
        discarded: seconds of work that they do not consist of.
    """
    total = seconds.get("total", 0.0)
    lines = [
        f"  {stage:14}{span(taken):>12}{taken / total:7.0%}" if total else f"  {stage}"
        for stage, taken in seconds.items()
    ]
    if discarded >= 1:
        lines.append(f"  beside it, thrown away: {span(discarded)} of work that was interrupted,")
        lines.append("  or made from other settings, data or code")
    return "\n".join(["wall-clock time by stage:", *lines])


def span(seconds: float) -> str:
    """Return a time in the units that fit: 0.4 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits, 12 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
