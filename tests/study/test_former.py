"""A study that is run again with other settings keeps the report of those before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nversion.study import make_config, run_study
from nversion.study.config import StudyConfig
from nversion.study.finished import open_study
from nversion.study.folder import StudyFolder
from nversion.study.former import keep_former, settings_digest


@pytest.fixture
def place(tmp_path: Path) -> StudyFolder:
    """A folder with results and a report of the default settings."""
    place = StudyFolder(tmp_path / "study")
    (place.report / "figures").mkdir(parents=True)
    (place.report / "index.html").write_text("seven")
    (place.report / "figures" / "one.svg").write_text("<svg/>")
    _write(place, make_config({}))
    return place


def _write(place: StudyFolder, config: StudyConfig) -> None:
    settings = config.model_dump(mode="json", exclude={"run", "data_dir"})
    place.results.write_text(json.dumps({"study": {"config": settings}}))


def test_other_settings_keep_results_report_and_figures(place: StudyFolder) -> None:
    kept = keep_former(place, make_config({"seed": 8}))
    assert kept is not None
    assert kept.parent == place.former
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*")} == {
        *("results.json", "index.html", "figures", "figures/one.svg"),
    }
    assert open_study(kept).results.study.config == make_config({}).model_dump(
        mode="json", exclude={"run", "data_dir"}
    )
    assert not list(place.former.glob(".*"))


def test_a_kept_page_finds_the_reports_of_still_other_settings(place: StudyFolder) -> None:
    link = '<a href="former/abc/index.html">'
    (place.report / "index.html").write_text(link)
    kept = keep_former(place, make_config({"seed": 8}))
    assert kept is not None
    assert (kept / "index.html").read_text() == '<a href="../abc/index.html">'
    assert (place.report / "index.html").read_text() == link


def test_the_same_settings_keep_nothing(place: StudyFolder) -> None:
    values = {"name": "other", "run": {"workers": 2}, "data_dir": "elsewhere"}
    assert keep_former(place, make_config(values)) is None
    assert not place.former.exists()


def test_each_settings_last_report_is_kept(place: StudyFolder) -> None:
    first = keep_former(place, make_config({"seed": 8}))
    _write(place, make_config({"seed": 8}))
    second = keep_former(place, make_config({}))
    _write(place, make_config({}))
    (place.report / "index.html").write_text("seven again")
    assert keep_former(place, make_config({"seed": 9})) == first
    assert first is not None
    assert (first / "index.html").read_text() == "seven again"
    assert {path.name for path in place.former.iterdir()} == {first.name, second and second.name}
    assert not list(first.rglob("former"))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"study": {"config": 3}}', '{"study": 3}'])
def test_results_of_unknown_settings_are_not_kept(place: StudyFolder, text: str) -> None:
    place.results.write_text(text)
    assert keep_former(place, make_config({"seed": 8})) is None


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    settings = make_config({}).model_dump(mode="json")
    turned = dict(reversed(list(settings.items())))
    assert settings_digest(settings) == settings_digest(turned)


class ToldError(Exception):
    """Raised when the study says where its former report is: all that is of interest here."""


def test_a_study_run_again_says_where_its_former_report_is(
    tiny: dict[str, Any], place: StudyFolder
) -> None:
    def say(message: str) -> None:
        if "report of the settings before" in message:
            raise ToldError(message)

    with pytest.raises(ToldError, match=r"is kept in report/former/\w{12}$") as told:
        run_study(make_config(tiny), place.root, say=say)
    kept = open_study(place.root / str(told.value).rpartition(" ")[2])
    assert (kept.folder.root / "index.html").read_text() == "seven"
    assert not place.config.exists()
