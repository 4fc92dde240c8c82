"""One whole experiment: configuration in, artefacts and results out."""

from nversion.study.config import StudyConfig, load_config, make_config
from nversion.study.results import without_times
from nversion.study.runner import run_study

__all__ = ["StudyConfig", "load_config", "make_config", "run_study", "without_times"]
