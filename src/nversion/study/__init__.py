"""One whole experiment: configuration in, artefacts and results out."""

from nversion.study.attack_stage import AttackPlan
from nversion.study.config import StudyConfig, load_config, make_config
from nversion.study.results import without_times
from nversion.study.runner import run_study
from nversion.study.standalone import build_adversarial_set

__all__ = [
    "AttackPlan",
    "StudyConfig",
    "build_adversarial_set",
    "load_config",
    "make_config",
    "run_study",
    "without_times",
]
