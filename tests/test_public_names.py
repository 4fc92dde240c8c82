from __future__ import annotations

import subprocess
import sys

import pytest

import nversion as nv

NAMES = """
Architecture CoincidentFailures Dataset Distilled Diversity Feed NVersionError Outcome Program
Recipe Record Split StudyConfig Verdict Version __version__ as_images as_labels as_logits
as_split attack_program attacks catalogue certify coincident_failures distil diversity
diversity_budget examine export generate load_dataset load_program load_recipe load_version
run_study student_architecture train train_many
"""


def test_the_public_names_are_these() -> None:
    assert sorted(nv.__all__) == sorted(NAMES.split())
    for name in nv.__all__:
        assert getattr(nv, name) is not None
    assert dir(nv) == sorted(nv.__all__)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        nv.trian  # noqa: B018


def test_importing_the_package_does_not_load_pytorch() -> None:
    code = "import sys, nversion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
