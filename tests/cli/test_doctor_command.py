from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

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


def test_one_version_does_not_vote(versions: Path) -> None:
    folder = str(sorted(versions.iterdir())[0])
    result = CliRunner().invoke(app, ["doctor", folder, "--voter", "majority"])
    assert "one version does not vote" in str(result.exception)
