"""`nversion inject`: what a vote makes of faulty versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nversion.cli import choices
from nversion.cli.app import app
from nversion.errors import NVersionError
from nversion.program.injection import INJECTIONS


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["inject", *map(str, words)])


KINDS = "raise,nan,infinite,shape,constant,stuck,bit-flips"


def test_every_kind_and_number_is_counted(versions: Path, tmp_path: Path) -> None:
    third = shutil.copytree(versions / "b", tmp_path / "c")
    words = (versions / "a", versions / "b", third, "--images", 40, "--faults", KINDS)
    result = run(*words, "--voter", "majority", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    facts = json.loads(result.stdout)
    assert [(row["kind"], len(row["faulty"])) for row in facts["rows"]] == [
        (kind, count) for kind in KINDS.split(",") for count in range(4)
    ]
    assert (facts["quorum"], facts["voter"], facts["dataset"]) == (2, "majority", "digits")
    drawn = tmp_path / "faults.svg"
    shown = run(*words, "--voter", "majority", "--most", 1, "--figure", drawn).stdout
    assert "bit-flips" in drawn.read_text()
    assert "program of 3 (majority, quorum 2) on 40 test images of digits" in shown
    assert len([line for line in shown.splitlines() if " nan " in line]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--faults", "rase"), "did you mean 'raise'"),
        (("--into", "z", "--faults", "nan"), "into must name versions"),
        (("--most", "3", "--faults", "nan"), "at the most 2"),
        (("--figure", "faults.gif"), "must end in .png"),
    ],
)
def test_wrong_input_is_refused(versions: Path, words: tuple[str, ...], message: str) -> None:
    result = run(versions / "a", versions / "b", "--images", 5, *words)
    assert isinstance(result.exception, NVersionError)
    assert message in str(result.exception)


def test_the_faults_are_the_librarys() -> None:
    assert tuple(INJECTIONS) == choices.INJECTIONS
