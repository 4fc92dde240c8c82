"""What tests of all folders share: packages installed for a test, and the code on a page."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

Install = Callable[[str, str, Mapping[str, Mapping[str, str]]], Path]


def write_dist_info(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write what an installer leaves beside a package: its name, version and entry points."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))


def blocks(page: Path, language: str) -> list[str]:
    """Return what stands on a page in blocks of a language; there is at least one."""
    text = page.read_text("utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no block of {language}"
    return found


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a module with a text and entry points by group, for one test."""
    installed = []

    def into_site(name: str, text: str, groups: Mapping[str, Mapping[str, str]]) -> Path:
        site = tmp_path / f"{name}-site" / "site-packages"
        write_dist_info(site, name, groups)
        (site / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        installed.append(name)
        return site

    yield into_site
    for name in installed:
        sys.modules.pop(name, None)
