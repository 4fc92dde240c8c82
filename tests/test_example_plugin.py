"""The worked example of a plugin is installed, and used from the command line and from Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "plugin"

ARCHITECTURES = {
    "a": "flatten\ndense, 24, relu",
    "b": "conv, 6, relu\nmaxpooling\nflatten",
    "c": "flatten\ndense, 16, relu",
}

STUDY = """
dataset = "stripes"
seed = 3

[versions]
count = 3
recipe = "focal.toml"
architectures = "architectures"

[attacks]
names = ["gradient", "towards-grey"]
images = 3

[attacks.options.towards-grey]
steps = 10

[program]
voter = "least-doubted"
orders = 5

[distillation]
objective = "focal-loss"

[evaluation]
frequency_images = 4

[whole]
images = 0

[certification]
method = "interval"
images = 4
random_target_images = 0
program_images = 2

[run]
workers = 1
"""

RUN = """
import json, sys
from nversion.cli import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["nversion", *words]
    print(">>>", flush=True)
    try:
        main()
    except SystemExit as done:
        assert not done.code, words
"""


class Workplace:
    """A folder to work in, and a folder of packages in which the plugin is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site-packages"
        shutil.copytree(EXAMPLE / "nversion_example", self.site / "nversion_example")
        # What pip leaves beside the package, by hand: its build backend need not be installed here.
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
        info = self.site / f"nversion_example-{project['version']}.dist-info"
        info.mkdir()
        facts = f"Name: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{facts}")
        groups = [
            "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
            for group, entries in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
        for name, text in ARCHITECTURES.items():
            (folder / "architectures").mkdir(exist_ok=True)
            (folder / "architectures" / f"{name}.txt").write_text(text)
        (folder / "study.toml").write_text(STUDY)
        shutil.copy(EXAMPLE / "focal.toml", folder)

    def python(self, code: str, *words: str) -> str:
        """Run Python that has the plugin installed, and return what it printed."""
        path = [str(self.site), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commands(self, *commands: str) -> list[str]:
        """Run commands of the command line one after the other; return what each printed."""
        printed = self.python(RUN, json.dumps([command.split() for command in commands]))
        return printed.split(">>>\n")[1:]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def study(workplace: Workplace) -> dict[str, Any]:
    """The results of a small study that makes use of everything in the plugin."""
    workplace.commands("study --config study.toml --out study")
    results: dict[str, Any] = json.loads((workplace.folder / "study/results.json").read_text())
    return results


def test_a_study_uses_all_that_the_plugin_has(workplace: Workplace, study: dict[str, Any]) -> None:
    assert study["study"]["dataset"] == "stripes"
    assert study["study"]["voter"] == "least-doubted"
    assert study["distillation"]["objective"] == "focal-loss"
    assert [row["name"] for row in study["attacks"]] == ["gradient", "towards-grey"]
    assert study["program"]["test_accuracy"] > 0.9
    assert study["certification"]["program"]["norms"]["2"]["program"]["mean"] > 0
    record = json.loads((workplace.folder / "study/versions/a/record.json").read_text())
    assert record["recipe"]["objective"] == "focal-loss"


def test_the_command_line_knows_what_is_installed(
    workplace: Workplace, study: dict[str, Any]
) -> None:
    versions = "study/versions/a study/versions/b study/versions/c"
    attacks, one, datasets, attacked, voted, certified = workplace.commands(
        "attacks --json",
        "attacks towards-grey",
        "datasets",
        "attack study/versions/a --attack towards-grey --set steps=5 --no-picture --json",
        f"vote {versions} --voter least-doubted --json",
        f"certify {versions} --voter least-doubted --images 2 --norm 2 --method interval "
        "--workers 2 --json",
    )
    assert "towards-grey" in [entry["name"] for entry in json.loads(attacks)]
    assert "how many there are on the way" in one
    assert datasets.split()[-1] == "stripes"
    (row,) = json.loads(attacked)["attacks"]
    assert row["options"] == {"steps": 5}
    assert row["error"] is None
    assert json.loads(voted)["accuracy"] == study["program"]["test_accuracy"]
    assert json.loads(certified)["voter"] == {"name": "least-doubted"}
    assert json.loads(certified)["norms"]["2"]["mean"] > 0


def test_no_change_within_a_certified_radius_changes_the_vote(
    workplace: Workplace, study: dict[str, Any]
) -> None:
    code = """
import torch
import nversion as nv
from nversion.program import certify_program
from nversion.versions import Version

data = nv.load_dataset("stripes")
models = [Version.load(f"study/versions/{name}").model for name in "abc"]
program = nv.Program(models, "least-doubted")
images = data.test.images[:4]
verdict = program.vote(images).labels
radii = certify_program(program, images, verdict, 2)
assert bool((radii > 0.05).all()), radii
draws = torch.Generator().manual_seed(0)
attack = nv.attacks.create("deepfool")
found = attack(program, images, verdict)
assert bool((found.l2 > radii).all()), (found.l2, radii)
for _ in range(200):
    step = torch.randn(images.shape, generator=draws)
    step *= (radii / step.flatten(1).norm(dim=1))[:, None, None, None]
    assert torch.equal(program.vote((images + 0.999 * step).clamp(0, 1)).labels, verdict)
print("held")
"""
    assert workplace.python(code) == "held\n"


def test_a_change_of_the_plugin_remakes_what_runs_it(
    workplace: Workplace, study: dict[str, Any], tmp_path: Path
) -> None:
    code = """
from nversion.attacks import create
from nversion.program import certificate_of, create_voter
from nversion.study.closure import code_digest
from nversion.study.units.attacking import AttackNetwork
from nversion.study.units.certifying_votes import CertifyVote
from nversion.study.units.training import TrainNetwork
from nversion.versions import create_objective

voter = create_voter("least-doubted")
print(code_digest(AttackNetwork, create("towards-grey")))
print(code_digest(CertifyVote, voter, certificate_of(voter)))
print(code_digest(TrainNetwork, create_objective("focal-loss")))
print(code_digest(AttackNetwork, create("gradient")))
print(code_digest(TrainNetwork, create_objective("cross-entropy")))
"""
    before = workplace.python(code).split()
    file = workplace.site / "nversion_example" / "voter.py"
    text = file.read_text("utf-8")
    file.write_text(text + "\nEDITED = 1\n")
    try:
        after = workplace.python(code).split()
    finally:
        file.write_text(text)
    # A plugin counts as a whole, for whatever runs a part of it.
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        *(False, False, False),
        *(True, True),
    ]


def test_a_wrong_name_is_told_with_the_plugins_before_anything_is_imported(
    workplace: Workplace,
) -> None:
    code = """
import sys
from nversion.cli import main

for words in (["vote", "x", "--voter", "least-douted"], ["datasets", "stripe"],
              ["attacks", "towards-gray"]):
    sys.argv = ["nversion", *words]
    sys.stderr = sys.stdout
    try:
        main()
    except SystemExit as done:
        assert done.code == 2
    assert "torch" not in sys.modules and "nversion_example" not in sys.modules
"""
    said = workplace.python(code).splitlines()
    for line, meant in zip(said, ("least-doubted", "stripes", "towards-grey"), strict=True):
        assert f"did you mean {meant!r}" in line
