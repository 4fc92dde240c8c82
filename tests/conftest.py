"""What tests of all folders share: packages that are installed for the length of a test."""

from __future__ import annotations

import importlib
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
