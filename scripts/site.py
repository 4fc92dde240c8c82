"""Hooks of the site's build: README.md is its first page, and links that leave docs/ are words.

The pages are written to be read in the repository, where they link to source files and to pages
beside docs/. The site has neither, and the repository has no address that it could link to.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]

REPORT = "report.html"
"""What a published report is called on the site."""

LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
"""A link to another file: its text, its path, its anchor."""

PICTURE = re.compile(r"(!\[(?:[^\[\]]|\\[\[\]])*\]\()docs/")
"""The beginning of a picture that lies in docs/, as README.md shows it."""


def on_files(files: Files, config: Any) -> Files:
    """Add README.md as the first page, and published reports beside their pages."""
    readme = (ROOT / "README.md").read_text("utf-8")
    # What README.md calls docs/guide/study.md, a page in docs/ calls guide/study.md.
    text = PICTURE.sub(r"\1", LINK.sub(lambda link: _inside(link, ""), readme))
    files.append(File.generated(config, "index.md", content=text))
    for report in sorted((ROOT / "docs" / "results").glob("*/index.html")):
        place = report.with_name(REPORT).relative_to(ROOT / "docs").as_posix()
        files.append(File.generated(config, place, content=report.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make words of links that leave docs/."""
    if page.file.src_uri == "index.md":
        return markdown
    folder = "docs/" + posixpath.dirname(page.file.src_uri)
    if folder.startswith("docs/results/"):
        # README.md becomes index.html there, so the report cannot be it.
        return LINK.sub(
            lambda link: _inside(link, folder), markdown.replace("](index.html)", f"]({REPORT})")
        )
    return LINK.sub(lambda link: _inside(link, folder), markdown)


def _inside(link: re.Match[str], folder: str) -> str:
    """Return a link of a page in a folder of the repository; its text alone where it leaves docs/.

    For the README, whose folder is "", it is made one of a page in docs/.
    """
    text, path, anchor = link.groups()
    target = posixpath.normpath(posixpath.join(folder, path))
    known = (ROOT / target).is_file() or posixpath.basename(target) == REPORT
    known = known and target.startswith("docs/")
    if not known:
        return text
    return link[0] if folder else f"[{text}]({target.removeprefix('docs/')}{anchor or ''})"
