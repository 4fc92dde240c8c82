"""An example of each command runs as its help shows it, with options behind it that keep it small.

They run in one folder, in the order of a first visit: a study, whose folder and versions the others
take. An option that is given twice counts as it is given last.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nversion.cli.app import app
from nversion.cli.reference import commands, examples

STUDY = (
    "--versions 3 --recipe fast --images 2 --attacks gradient,deepfool --workers 1 "
    "--set evaluation.frequency_images=2 --set certification.images=2 "
    "--set certification.method=interval --set certification.random_target_images=0 "
    "--set certification.program_images=0 --set program.orders=10 --set whole.images=0"
)

SMALLER: dict[str, tuple[int, str]] = {
    "study": (0, STUDY),
    "report": (1, ""),
    "compare": (1, ""),
    "evidence": (0, ""),
    "gate": (0, ""),
    "train": (0, "--data digits --out trained --recipe fast --workers 1"),
    "attack": (1, "--no-picture"),
    "doctor": (1, "--images 4"),
    "distil": (
        0,
        "--repeats 2 --architecture v002 --recipe fast --radius-images 0 --attack-images 0 "
        "--workers 1",
    ),
    "vote": (0, ""),
    "shift": (0, "--images 20"),
    "diversity": (0, "--resamples 10"),
    "diversify": (0, "--data digits --sources seed --attacked 4 --workers 1 --out diverse"),
    "select": (0, ""),
    "inject": (0, "--images 20 --faults nan"),
    "certify": (0, "--images 2 --method interval --workers 1"),
    "export": (1, "--images 4"),
    "datasets": (0, ""),
    "recipes": (0, ""),
    "attacks": (1, ""),
    "adversarial build": (0, "--images 1 --attacks deepfool --workers 1"),
    "adversarial show": (0, ""),
    "adversarial export": (0, ""),
    "architectures list": (0, ""),
    "architectures show": (0, ""),
    "architectures check": (0, ""),
    "architectures generate": (0, "--count 2 --shape 1,8,8 --out made"),
}
"""By command, which of its examples is run, and what makes it small."""

MAY_FAIL = ("gate", "doctor", "attack")
"""Commands that say with exit code 1 that what they looked at did not pass."""


def run(name: str) -> Result:
    """Run the example of a command in the present folder; a shell's patterns are filled in."""
    place, more = SMALLER[name]
    line = examples(dict(commands())[name])[place]
    words: list[str] = []
    for word in shlex.split(line)[1:]:
        words += sorted(map(str, Path().glob(word))) if "*" in word else [word]
    return CliRunner().invoke(app, [*words, *shlex.split(more)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the examples name: a study, its versions, architectures, data."""
    here = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        result = run("study")
        assert result.exit_code == 0, result.output
        shutil.copytree("studies/digits/versions", "versions")
        shutil.copytree("studies/digits", "studies/mnist")
        Path("data").mkdir()
        Path("mine").mkdir()
        Path("mine/small.txt").write_text("flatten\ndense, 8, relu\n")
        yield here


@pytest.mark.parametrize("name", [name for name in SMALLER if name != "study"])
def test_the_example_of_a_command_runs(name: str, folder: Path) -> None:
    assert Path.cwd() == folder
    result = run(name)
    assert result.exit_code in ((0, 1) if name in MAY_FAIL else (0,)), result.output


def test_every_command_is_here() -> None:
    assert set(SMALLER) == {name for name, _ in commands()}
