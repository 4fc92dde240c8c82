from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nversion import installation
from nversion.cli.app import app


def test_it_prints_every_check_of_a_program(versions: Path) -> None:
    folders = [str(path) for path in sorted(versions.iterdir())[:2]]
    words = ["doctor", *folders, "--voter", "majority", "--images", "6", "--norm", "2"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code in (0, 1), result.output
    assert "program of 2 (majority)" in result.stdout
    for name in ("asked again", "gradients", "more steps", "black box", "transfer", "ties"):
        assert name in result.stdout


def test_it_says_the_same_as_json(versions: Path) -> None:
    folder = str(sorted(versions.iterdir())[0])
    result = CliRunner().invoke(app, ["doctor", folder, "--images", "4", "--json"])
    facts = json.loads(result.stdout)
    assert facts["version"] == Path(folder).name
    assert len(facts["checks"]) == 8
    assert result.exit_code == int(any(check["passed"] is False for check in facts["checks"]))


def test_a_norm_is_read_in_every_spelling(versions: Path) -> None:
    folder = str(sorted(versions.iterdir())[0])
    words = ["doctor", folder, "--images", "4", "--json", "--norm"]
    told = [json.loads(CliRunner().invoke(app, [*words, norm]).stdout) for norm in ("2", "L2")]
    assert told[0]["norm"] == told[1]["norm"] == "l2"
    refused = CliRunner().invoke(app, [*words, "1"])
    assert "--norm: norm must be 2 or inf, not '1'" in str(refused.exception)


def test_one_version_does_not_vote(versions: Path) -> None:
    folder = str(sorted(versions.iterdir())[0])
    result = CliRunner().invoke(app, ["doctor", folder, "--voter", "majority"])
    assert "one version does not vote" in str(result.exception)


def test_without_a_model_it_checks_the_installation(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "good    known answer: votes: as it must be" in result.stdout
    assert "absent  dataset mnist" in result.stdout


def test_a_bad_installation_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = installation.Check("libraries", "bad", "none", "install them")
    monkeypatch.setattr(installation, "check_installation", lambda _: iter([bad]))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "bad     libraries: none; install them" in result.stdout
    (found,) = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert found["status"] == "bad"
