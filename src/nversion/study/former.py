"""The report of a study's former settings, kept when it is run again with others.

A study's folder has one ``results.json`` and one report. Where it is run again with settings that
change results, those of before go to ``report/former/DIGEST``, with the settings in their
``results.json``. DIGEST is the beginning of that of the settings, so that the last report of each
settings is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nversion.errors import ArtefactError
from nversion.files import digest_of, noticing_a_full_disk, read_object
from nversion.study.config import StudyConfig, without_folders
from nversion.study.folder import StudyFolder

__all__ = ["keep_former", "settings_digest"]

IDLE = ("run", "name", "data_dir")
"""Sections of the configuration that change no result."""

DIGITS = 12
"""Of the digest, in the name of a former report's folder."""


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the settings that change results.

    Args:
        settings: a whole resolved configuration, as JSON values.
    """
    replication = settings.get("replication")
    off = isinstance(replication, Mapping) and not replication.get("repeats")
    idle = (*IDLE, "replication") if off else IDLE
    return digest_of({key: value for key, value in settings.items() if key not in idle})


def keep_former(place: StudyFolder, config: StudyConfig) -> Path | None:
    """Keep results and report of other settings than those of `config`, and say where.

    Args:
        place: the study's folder, which is ours while this runs.
        config: what is to be run.

    Returns:
        The folder that they were copied to; None where there are none, or they are of the same
        settings.
    """
    if not place.results.is_file():
        return None
    try:
        study = read_object(place.results).get("study")
    except ArtefactError:
        # Damaged, and about to be made again.
        return None
    settings = study.get("config") if isinstance(study, Mapping) else None
    if not isinstance(settings, Mapping):
        return None
    digest = settings_digest(settings)
    if digest == settings_digest(without_folders(config.model_dump(mode="json"))):
        return None
    kept = place.former / digest[:DIGITS]
    _copy(place, kept)
    return kept


def _copy(place: StudyFolder, kept: Path) -> None:
    """Copy results and report to a folder, whole or not at all."""
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        with noticing_a_full_disk(kept):
            temporary.mkdir(parents=True)
            shutil.copyfile(place.results, temporary / place.results.name)
            for path in sorted(place.report.glob("*")):
                if path.is_file():
                    shutil.copyfile(path, temporary / path.name)
                elif path != place.former:
                    shutil.copytree(path, temporary / path.name)
            _relink(temporary / "index.html")
            if kept.exists():
                shutil.rmtree(kept)
            temporary.replace(kept)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _relink(page: Path) -> None:
    """Let a copied page find the reports of still other settings, which lie beside it now."""
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace('href="former/', 'href="../'), encoding="utf-8")
