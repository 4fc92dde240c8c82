"""Progress bars on standard error, with time left; silent when nobody watches a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Advance", "progress_bar"]

Advance = Callable[[], None]
"""Call it when one more piece of work is done."""


@contextlib.contextmanager
def progress_bar(description: str, total: int, *, shown: bool | None = None) -> Iterator[Advance]:
    """Show a bar of `total` pieces of work while the block runs.

    Args:
        description: what is being done, a few words.
        total: pieces of work.
        shown: whether to show it; by default only if standard error is a terminal.
    """
    console = Console(file=sys.stderr)
    visible = console.is_terminal if shown is None else shown
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not visible) as progress:
        task = progress.add_task(description, total=total)
        yield lambda: progress.advance(task)
