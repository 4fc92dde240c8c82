"""`nversion shift`: votes on spoiled images and on images of unknown classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from nversion.cli import choices
from nversion.cli.app import app
from nversion.datasets import CORRUPTIONS
from nversion.errors import NVersionError
from nversion.program import voter_names


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["shift", *map(str, words)])


def test_every_voter_is_tried_under_every_condition(versions: Path, tmp_path: Path) -> None:
    strangers = np.random.default_rng(0).random((30, 1, 8, 8), dtype=np.float32)
    np.savez(
        tmp_path / "noise.npz",
        test_images=strangers,
        test_labels=np.arange(30) % 10,
        train_images=strangers,
        train_labels=np.arange(30) % 10,
    )
    words = (versions / "a", versions / "b", "--images", 40, "--kinds", "noise,contrast")
    result = run(*words, "--unknown", tmp_path / "noise.npz", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    facts = json.loads(result.stdout)
    assert set(facts["thresholds"]) == set(voter_names())
    kinds = {(row["condition"]["kind"], row["condition"]["severity"]) for row in facts["rows"]}
    assert kinds == {("clean", 0), ("unknown", 0)} | {
        (kind, severity) for kind in ("noise", "contrast") for severity in range(1, 6)
    }


def test_the_table_names_what_was_done(versions: Path) -> None:
    result = run(versions / "a", versions / "b", "--voters", "borda", "--kinds", "blur")
    assert result.exit_code == 0
    assert "95% of the clean ones keep theirs" in result.stdout
    assert [line.split()[:2] for line in result.stdout.splitlines() if " blur " in line] == [
        ["blur", str(severity)] for severity in range(1, 6)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kinds", "nois"), "did you mean 'noise'"),
        (("--voters", "borda,bordo"), "did you mean 'borda'"),
        (("--voters", "borda,borda"), "named twice"),
        (("--unknown", "nowhere"), "neither a dataset's name nor the path"),
        (("--by", "luck"), "one of agreement, margin, entropy"),
    ],
)
def test_wrong_input_is_refused(versions: Path, words: tuple[str, ...], message: str) -> None:
    result = run(versions / "a", *words)
    assert isinstance(result.exception, NVersionError)
    assert message in str(result.exception)


def test_the_corruptions_are_the_librarys() -> None:
    assert tuple(CORRUPTIONS) == choices.CORRUPTIONS
