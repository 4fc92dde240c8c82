"""The Python in the guides runs, and the commands in them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nversion.cli.app import app
from nversion.program import voter_names

from .conftest import blocks

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guide"


def test_the_python_of_certification_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks(GUIDES / "certification.md", "python"))
    exec(compile(code, "certification.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" 0.")[0] for line in said] == [
        "mean certified radius",
        "mean certified radius of the vote",
        "vote",
        "mean radius",
    ]


def test_the_python_of_voting_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks(GUIDES / "voting.md", "python"))
    exec(compile(code, "voting.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:5]] == [
        *("right", "undecided", "rules:", "weighted", "withheld"),
    ]
    assert len(said) == 8 + 2 * 3


def test_the_python_of_faults_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks(GUIDES / "faults.md", "python"))
    exec(compile(code, "faults.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == [
        "voted out: models[4] gives NaN",
        "the other four agree and are followed: True",
        "below the quorum of 3 all abstain: True",
        *(line for line in said[3:4] if line.startswith("found: models[4] names class")),
        "voted out: constant",
    ]
    assert [line.partition(":")[0] for line in said[5:8]] == [
        *("majority", "mean-softmax", "maximum-confidence"),
    ]
    assert [line.split()[0] for line in said[8:]] == ["majority"]


def put_published_study(folder: Path) -> None:
    """Put the results of ten published versions where the guides look for a study."""
    study = folder / "studies" / "digits"
    study.mkdir(parents=True)
    published = GUIDES.parent / "results" / "mnist-10" / "results.json"
    (study / "results.json").write_bytes(published.read_bytes())


def test_the_python_of_evidence_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_published_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(GUIDES / "evidence.md", "python")), "evidence.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("program accuracy on the test images 0.9")
    assert said[-1].startswith("# Evidence of the study mnist")


def test_the_python_of_reading_the_report_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_published_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(GUIDES / "report.md", "python")), "report.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[:1]] == ["on images made for its members"]
    assert len(said) == 2 + 4


def test_the_python_of_a_study_of_your_own_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(GUIDES / "own-study.md", "python")), "own-study.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("(1, 8, 8) 10 ")
    assert [line.partition(":")[0] for line in said[1:]] == ["small", "wide"]


def test_the_settings_of_a_study_of_your_own_exist() -> None:
    from nversion.study import make_config

    settings = make_config({}).model_dump()
    text = (GUIDES / "own-study.md").read_text("utf-8")
    for section, key in re.findall(r"`([a-z]+)\.([a-z]+)\b", text):
        assert key in settings[section], f"{section}.{key}"


def test_the_python_of_repeating_2019_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(
        compile("\n".join(blocks(GUIDES / "study-2019.md", "python")), "study-2019.md", "exec"), {}
    )
    assert capsys.readouterr().out == "2019: program 96.86%, best version 96.58%\n"


def test_every_voter_is_in_the_guide() -> None:
    text = (GUIDES / "voting.md").read_text("utf-8")
    assert [name for name in voter_names() if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("certification.md", ("train", "certify", "vote")),
        ("voting.md", ("vote", "shift")),
        ("faults.md", ("inject", "vote")),
        ("evidence.md", ("evidence",)),
        ("study.md", ("compare", "gate", "study")),
    ],
)
def test_the_options_in_a_guide_exist(page: str, commands: tuple[str, ...]) -> None:
    text = "\n".join(blocks(GUIDES / page, "console"))
    for command in commands:
        lines = re.findall(rf"nversion {command} (.*)", text)
        options = {option for line in lines for option in re.findall(r"(--[a-z-]+)", line)}
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        assert lines
        assert [option for option in sorted(options) if option not in shown] == []


def test_the_python_of_objectives_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(GUIDES / "objectives.md", "python"))
    exec(compile(code, "objectives.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[1] == "['v16', 'v24'] [721, 714]"


def test_the_recipes_of_objectives_are_recipes() -> None:
    from nversion.errors import ConfigError
    from nversion.reading import parse_toml
    from nversion.study import make_config
    from nversion.versions import Recipe, load_recipe

    for block in blocks(GUIDES / "objectives.md", "toml"):
        values = parse_toml(block, "objectives.md", ConfigError)
        if "replication" in values:
            assert make_config(values).replication.repeats
            continue
        assert Recipe(**{**load_recipe("small").model_dump(), **values}).objectives()


def test_every_objective_is_in_its_guide() -> None:
    from nversion.objectives import objective_names
    from nversion.objectives.together import joint_objective_names

    text = (GUIDES / "objectives.md").read_text("utf-8")
    missing = [
        name for name in (*objective_names(), *joint_objective_names()) if f"`{name}`" not in text
    ]
    assert missing == []


def test_the_python_of_attacking_programs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks(GUIDES / "programs.md", "python"))
    exec(compile(code, "programs.md", "exec"), {})
    said = capsys.readouterr().out
    for words in ("fallen 6", "no right verdict 6", "twice as far needs", "large radius True"):
        assert words in said


def test_the_options_in_attacking_programs_exist() -> None:
    commands = "\n".join(blocks(GUIDES / "programs.md", "console"))
    for command in ("attack", "doctor"):
        lines = re.findall(rf"nversion {command} (.*)", commands)
        options = {option for line in lines for option in re.findall(r"(--[a-z-]+)", line)}
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        assert lines
        assert [option for option in sorted(options) if option not in shown] == []
