"""Results of published studies inside other pages: what stands between two markers of a page.

A page in Markdown says by a comment what it wants, of which folders, and the rest is written:

    <!-- nversion: table docs/results/mnist-10 docs/results/mnist-100 -->
    <!-- nversion: end -->

So a number that is measured again is copied nowhere by hand. Folders are named from the page's own;
each holds a study's ``results.json``. Text from results is escaped, as in the published README.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nversion.errors import InputError
from nversion.files import write_text
from nversion.naming import did_you_mean
from nversion.report.figures.drawing import WIDE, house_style
from nversion.report.figures.plots_front import both_attackers
from nversion.report.markdown import FRONT_FIGURE, plain
from nversion.report.text.beside import beside_2019
from nversion.report.text.whole import whole_program
from nversion.report.values import join, plural
from nversion.study.finished import open_study
from nversion.study.sections import Results

__all__ = ["insert", "inserted", "kinds_of_inserts"]

_BEGIN = re.compile(r"<!-- nversion: (.*?) -->")
_END = "<!-- nversion: end -->"


@dataclass(frozen=True)
class _Study:
    """A study that a page shows: its results, and its folder as the page names it."""

    results: Results
    folder: str

    @property
    def name(self) -> str:
        return plural(len(self.results.trained), "version")


def insert(page: str | Path) -> int:
    """Write anew what stands between the markers of a page; return how many pairs it has.

    Args:
        page: a Markdown file.

    Raises:
        InputError: it cannot be read, has no markers, or one that is wrong.
        ArtefactError: a folder that it names holds no results.
    """
    page = Path(page)
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{page}: cannot be read as text: {error}") from error
    new, found = inserted(text, page)
    if not found:
        raise InputError(
            f"{page}: has no place to insert results; write two lines where they are wanted, "
            f"`<!-- nversion: table FOLDER -->` and `{_END}`; there are {join(_KINDS)}"
        )
    if new != text:
        write_text(page, new)
    return found


def inserted(text: str, page: Path) -> tuple[str, int]:
    """Return a page's text with what belongs between its markers, and how many pairs it has.

    Args:
        text: of the page.
        page: where it lies, from which folders are named; its name is used in errors.
    """
    written: list[str] = []
    lines = iter(enumerate(text.split("\n"), start=1))
    found = 0
    for number, line in lines:
        written.append(line)
        begin = _BEGIN.fullmatch(line.strip())
        if begin is None:
            continue
        if line.strip() == _END:
            raise InputError(f"{page}, line {number}: `{_END}` ends nothing")
        for _, inner in lines:
            if inner.strip() == _END:
                break
            if _BEGIN.fullmatch(inner.strip()):
                raise _unended(page, number)
        else:
            raise _unended(page, number)
        # Blank lines beside a comment, or Markdown takes what follows for a part of it.
        written += ["", _content(begin[1].split(), page, number), "", _END]
        found += 1
    return "\n".join(written), found


def kinds_of_inserts() -> list[str]:
    """Return what a marker can ask for."""
    return list(_KINDS)


def _unended(page: Path, number: int) -> InputError:
    return InputError(f"{page}, line {number}: the marker has no line `{_END}` after it")


def _content(words: Sequence[str], page: Path, number: int) -> str:
    """Return what a marker asks for."""
    kind, folders = (words[0] if words else ""), words[1:]
    if kind not in _KINDS:
        raise InputError(
            f"{page}, line {number}: {kind!r} cannot be inserted{did_you_mean(kind, _KINDS)}; "
            f"there are {join(_KINDS)}"
        )
    if not folders:
        raise InputError(
            f"{page}, line {number}: name a published study's folder after {kind!r}, as seen "
            f"from {page.parent}"
        )
    studies = [_Study(open_study(page.parent / one).results, _as_link(one)) for one in folders]
    return _KINDS[kind](studies)


def _as_link(folder: str) -> str:
    return os.path.normpath(folder).replace(os.sep, "/")


def _figure(studies: Sequence[_Study]) -> str:
    """Return the link to each study's figure for a front page."""
    return "\n\n".join(
        f"![{plain(_said(one.results))}]({one.folder}/{FRONT_FIGURE})" for one in studies
    )


def _said(results: Results) -> str:
    with house_style(WIDE.font):
        drawing = both_attackers(results, WIDE)
    return "Nothing of the program is known." if drawing is None else drawing.alt


def _table(studies: Sequence[_Study], *, short: bool = True) -> str:
    """Return the table of the studies beside that of 2019."""
    rows = beside_2019([one.results for one in studies], short=short)
    then = any(row.then for row in rows)
    heads = [f"[{one.name}]({one.folder}/README.md)" for one in studies]
    lines = [_row(["", *(["2019"] if then else []), *heads])]
    lines.append(_row(["---", *["---:"] * (len(heads) + then)]))
    for row in rows:
        cells = [*([row.then] if then else []), *row.now]
        lines.append(_row([row.title, *(plain(cell) for cell in cells)]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sentence(studies: Sequence[_Study]) -> str:
    """Return what attacks on the program itself say of each study."""
    return "\n\n".join(
        f"[{one.name}]({one.folder}/README.md). "
        + plain(whole_program(one.results) or "The program itself was not attacked.")
        for one in studies
    )


_KINDS: Mapping[str, Callable[[Sequence[_Study]], str]] = {
    "figure": _figure,
    "table": _table,
    "long-table": lambda studies: _table(studies, short=False),
    "sentence": _sentence,
}
