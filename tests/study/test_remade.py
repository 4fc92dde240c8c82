"""Which units are made again when a module changes, tried on a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import nversion
from nversion.study import make_config, run_study, runner
from nversion.study.closure import Sources, roots_of
from nversion.study.ledger import Entry
from nversion.study.source import Source
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.base import Unit

PACKAGE = Path(nversion.__file__).parent

KINDS = {
    "train": r"versions/.*|distillation/.*",
    "gradient": r"attacks/.*/gradient",
    "gradient-sign": r"attacks/.*/gradient-sign",
    "random-pgd": r"attacks/.*/random-pgd",
    "set": r"adversarial/set|adversarial/example",
    "outputs": r"program/outputs/.*|evaluation/(baseline|student)",
    "vote": r"program/summary",
    "failures": r"reliability/(test|adversarial)",
    "coverage": r"reliability/voters/.*",
    "asked": r"reliability/training/.*",
    "faulty": r"faults/.*",
    "chosen": r"reliability/selection",
    "teacher": r"teacher/.*",
    "under-attack": r"evaluation/under-attack",
    "comparisons": r"evaluation/comparisons",
    "radii": r"certificates/(baseline|student|versions)/.*",
    "vote-radii": r"certificates/program/.*",
    "attacked": r"certificates/attacked/.*",
    "whole": r"whole/.*",
}
"""The units of a study by what they do, and their names."""

ATTACKS = ("gradient", "gradient-sign", "random-pgd")
LOADS_VERSIONS = (
    *(*ATTACKS, "outputs", "asked", "chosen", "teacher", "radii", "vote-radii", "whole"),
    "attacked",
)
VOTES = ("vote", "coverage", "faulty", "chosen", "teacher")

REMADE: dict[str, Sequence[str]] = {
    "randomness.py": tuple(KINDS),
    "files.py": tuple(KINDS),
    "batches.py": tuple(kind for kind in KINDS if kind != "failures"),
    "registry.py": ("train", *ATTACKS, *VOTES, "vote-radii", "whole", "attacked"),
    "device.py": ("train", *ATTACKS, "outputs", "asked", "teacher", "whole", "attacked"),
    "datasets/shared.py": ("train", *ATTACKS, "asked", "chosen", "teacher", "whole", "attacked"),
    "datasets/download.py": (),
    "architectures/layers.py": ("train", *LOADS_VERSIONS),
    "architectures/generator.py": (),
    "versions/version.py": ("train", *LOADS_VERSIONS),
    "versions/training.py": ("train",),
    "objectives/soft_labels.py": ("train",),
    "objectives/base.py": ("train",),
    "objectives/lipschitz.py": (),
    "objectives/adversarial.py": (),
    "versions/many.py": (),
    "versions/recipes/small.toml": ("train",),
    "attacks/base.py": (*ATTACKS, "set", "under-attack", "whole", "attacked"),
    "attacks/registry.py": (*ATTACKS, "whole", "attacked"),
    "attacks/gradient.py": ("gradient", "gradient-sign"),
    "attacks/random_pgd.py": ("random-pgd",),
    "attacks/slsqp.py": (),
    "attacks/sigma_zero.py": (),
    "attacks/slp.py": ("attacked", "whole"),
    "attacks/nearest_of_all.py": ("attacked",),
    "attacks/carlini_wagner.py": (),
    "attacks/primal_dual.py": ("whole",),
    "attacks/votes/search.py": ("whole",),
    "ensemble.py": ("vote-radii", "whole"),
    "attacks/__init__.py": (),
    "adversarial/similarity.py": (*ATTACKS, "set", "under-attack"),
    "adversarial/summary.py": ("set",),
    "adversarial/pictures.py": (),
    "adversarial/intervals.py": ("set", "under-attack", "comparisons", "faulty"),
    "evaluation/clustered.py": ("under-attack", "comparisons"),
    "evaluation/under_attack.py": ("under-attack",),
    "evaluation/rival.py": ("comparisons",),
    "evaluation/ranks.py": (),
    "program/voters/outputs.py": ("outputs", "asked", *VOTES, "vote-radii", "whole"),
    "program/voters/base.py": (*VOTES, "vote-radii", "whole"),
    "program/voters/means.py": (*VOTES, "vote-radii", "whole"),
    "program/voters/registry.py": (*VOTES, "vote-radii", "whole"),
    "program/voters/counts.py": ("coverage", "faulty", "vote-radii"),
    "program/voters/__init__.py": (),
    "program/verdict.py": (*VOTES, "vote-radii", "whole"),
    "program/accuracy.py": ("vote", "chosen"),
    "program/coverage.py": ("coverage",),
    "program/planting.py": ("faulty",),
    "program/injection.py": (),
    "program/white_box.py": ("chosen",),
    "measures/diversity.py": ("failures",),
    "measures/gradients.py": (),
    "reliability/failures.py": ("failures",),
    "reliability/bounds.py": (),
    "selection/accuracy.py": ("failures", "chosen"),
    "selection/search.py": ("chosen",),
    "selection/shapley.py": (),
    "program/model.py": ("vote-radii", "whole"),
    "program/certificates/certified.py": ("vote-radii",),
    "program/certificates/softmaxes.py": ("vote-radii",),
    "program/certificates/leads.py": ("vote-radii",),
    "program/certificates/__init__.py": (),
    "program/certificates/comparison.py": (),
    "program/__init__.py": (),
    "certification/radius/search.py": ("radii", "vote-radii"),
    "certification/bounds/window_differences.py": ("radii", "vote-radii"),
    "certification/network/__init__.py": (),
    "certification/smoothing.py": (),
    "study/units/teaching.py": ("teacher",),
    "study/units/comparing.py": ("comparisons",),
    "study/units/attacking_certified.py": ("attacked",),
    "study/units/failing.py": ("failures",),
    "study/units/covering.py": ("coverage",),
    "study/units/choosing.py": ("chosen",),
    "study/units/planting.py": ("faulty",),
    "study/units/asking.py": ("asked",),
    "study/units/base.py": tuple(KINDS),
    "study/units/loading.py": LOADS_VERSIONS,
    "study/units/stored.py": ("vote", "chosen", "comparisons"),
    "study/units/__init__.py": (),
    "study/stages/comparing.py": (),
    "study/stages/failing.py": (),
    "study/stages/attacking.py": (),
    "study/context.py": (),
    "study/unit_runner.py": (),
    "study/config.py": (),
    "study/units/replicating.py": (),
    "study/sections/replication.py": (),
    "replication/settings.py": (),
    "replication/network.py": (),
    "report/page.py": (),
    "cli/study.py": (),
    "__init__.py": (),
}
"""The kinds of units whose code a file belongs to."""


class Recording(UnitRunner):
    """A runner that remembers what it was asked for."""

    units: list[Unit]

    def run(self, description: str, units: Sequence[Unit]) -> dict[str, Entry]:
        type(self).units += units
        return super().run(description, units)


class Remembering(Sources):
    """Sources that read a file again only if its content has changed."""

    known: dict[tuple[Path, bytes], Source | None]

    def source(self, name: str) -> Source | None:
        place = self.place(name)
        if place is None or place.file is None:
            return None
        key = (place.file, place.file.read_bytes())
        if key not in type(self).known:
            type(self).known[key] = super().source(name)
        return type(self).known[key]


@pytest.fixture(scope="module")
def study(
    tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, list[Unit]]]:
    """A finished study, and its units by kind."""
    folder = tmp_path_factory.mktemp("remade") / "study"
    Recording.units = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "UnitRunner", Recording)
        run_study(make_config(tiny), folder)
    units: dict[str, list[Unit]] = {kind: [] for kind in KINDS}
    for unit in Recording.units:
        (kind,) = (kind for kind, names in KINDS.items() if re.fullmatch(names, unit.name))
        units[kind].append(unit)
    assert all(units.values())
    return folder, units


def _copy(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / "nversion", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "nversion"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, to be edited and mended again."""
    Remembering.known = {}
    return _copy(tmp_path_factory.mktemp("copy"))


def _codes(units: dict[str, list[Unit]], package: Path) -> dict[str, set[str]]:
    sources = Remembering([str(package.parent)])
    roots = {
        kind: {roots_of(type(unit), *unit.uses()) for unit in of_kind}
        for kind, of_kind in units.items()
    }
    return {
        kind: {sources.closure(of_unit).digest for of_unit in of_kind}
        for kind, of_kind in roots.items()
    }


@pytest.fixture(scope="module")
def before(study: tuple[Path, dict[str, list[Unit]]], copied: Path) -> dict[str, set[str]]:
    return _codes(study[1], copied)


@pytest.mark.parametrize("edited", REMADE)
def test_a_change_remakes_what_runs_the_changed_code_and_nothing_else(
    study: tuple[Path, dict[str, list[Unit]]],
    copied: Path,
    before: dict[str, set[str]],
    edited: str,
) -> None:
    file = copied / edited
    text = file.read_text()
    file.write_text(f"{text}\nEDITED = 1\n")
    try:
        after = _codes(study[1], copied)
    finally:
        file.write_text(text)
    assert {kind for kind in KINDS if after[kind] != before[kind]} == set(REMADE[edited])


def test_comments_docstrings_and_layout_remake_nothing(
    study: tuple[Path, dict[str, list[Unit]]], copied: Path, before: dict[str, set[str]]
) -> None:
    file = copied / "randomness.py"
    text = file.read_text()
    file.write_text(text.replace('"""', '"""Otherwise. ', 1) + "\n\n# The end.\n")
    try:
        assert _codes(study[1], copied) == before
    finally:
        file.write_text(text)


def test_another_certificate_leaves_the_teachers_labels(
    study: tuple[Path, dict[str, list[Unit]]], tmp_path: Path
) -> None:
    package = _copy(tmp_path)
    file = package / "program/certificates/leads.py"
    file.write_text(f"{file.read_text()}\nEDITED = 1\n")
    program = (
        "import pathlib, sys; from nversion.study import load_config, make_config, run_study; "
        "folder = pathlib.Path(sys.argv[1]); "
        "run_study(make_config(load_config(folder / 'study.toml')), folder, say=print)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(study[0])],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    remade = re.findall(r"^(.*): \d+ to do", done.stdout, flags=re.MULTILINE)
    assert remade == ["certifying the vote"]
    assert "asking the teacher: 1 kept" in done.stdout
