"""What options may be is what the library has, and a wrong value is one line, at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from nversion import attacks, datasets
from nversion.certification import METHODS
from nversion.cli import choices
from nversion.device import Device
from nversion.evidence.forms import FORMS
from nversion.program import voter_names
from nversion.program.abstention import MEASURES
from nversion.program.voters.weights import WEIGHTINGS
from nversion.versions import Precision, recipe_names
from nversion.workers import Engine


def test_the_names_are_the_librarys() -> None:
    assert get_args(Engine) == choices.ENGINES
    assert get_args(Device) == choices.DEVICES
    assert get_args(Precision) == choices.PRECISIONS
    assert (*METHODS, "smoothing") == choices.METHODS
    assert tuple(voter_names()) == choices.VOTERS
    assert choices.CONFIDENCES == MEASURES
    assert choices.WEIGHTINGS == WEIGHTINGS
    assert tuple(FORMS) == choices.FORMS
    assert tuple(datasets.names()) == choices.DATASETS
    assert tuple(recipe_names()) == choices.RECIPES
    assert sorted(attacks.names()) == sorted(choices.ATTACKS)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("studdy", "No such command 'studdy'. Did you mean 'study'?"),
        ("study --imagse 3", "--imagse"),
        ("study --data mnst --out x", "--data.*did you mean 'mnist'"),
        ("study --config nope.toml", "--config.*does not exist"),
        ("study --out file", "--out.*is a file"),
        ("study --recipe fsat", "--recipe.*did you mean 'fast'"),
        ("study --attacks deepfol", "--attacks.*did you mean 'deepfool'"),
        ("study --attacks deepfool,deepfool", "--attacks.*named twice"),
        ("study --versions 0", "--versions"),
        ("study --engine proceses", "--engine.*did you mean 'processes'"),
        ("study --device gpu", "--device must be one of auto, cpu, cuda"),
        ("study --workers many", "--workers must be auto or a number"),
        ("study --set seed", "--set wants KEY=VALUE"),
        ("train v001", "--out"),
        ("train v001 --out o --precision float61", "--precision.*did you mean"),
        ("attack nope --attack deepfool", "nope: no such folder"),
        ("attack nope --attack deepfool --index -1", "--index"),
        ("attacks deepfol", "did you mean 'deepfool'"),
        ("adversarial exprt", "Did you mean 'export'"),
        ("adversarial show nope", "nope: no such folder"),
        ("vote nope --voter majorty", "--voter.*did you mean 'majority'"),
        ("certify nope --norm iinf", "--norm.*did you mean 'inf'"),
        ("certify nope --norm 2,2", "--norm.*twice"),
        ("certify nope --method liner", "--method.*did you mean 'linear'"),
        ("certify nope --out x.txt", "--out x.txt: must end in"),
        ("certify nope --at x", "--at x"),
        ("architectures list --shape 1,2", "--shape"),
        ("datasets mnst", "did you mean 'mnist'"),
        ("recipes fsat", "did you mean 'fast'"),
        ("report nope", "no such file; give the folder of a finished study"),
    ],
)
def test_a_wrong_value_is_one_line_before_anything_is_imported(
    command: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    code = (
        "import sys\n"
        "from nversion.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(said, line), line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_help_is_shown_where_no_command_is_given() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nversion"], capture_output=True, text=True, check=False
    )
    assert "study" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
