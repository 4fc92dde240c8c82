from __future__ import annotations

from pathlib import Path

import pytest

from nversion.study.folder import StudyFolder


def test_paths_are_absolute_wherever_the_workers_were_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = StudyFolder(Path("here"))
    assert place.version("a") == tmp_path.resolve() / "here" / "versions" / "a"
    assert (
        place.relative(place.run("a", "foolbox:X")) == "adversarial/runs/a/foolbox--X.safetensors"
    )
    assert place.adversarial.is_absolute()
