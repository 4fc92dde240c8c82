"""The reference page of the text format says what the code does: its blocks are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nversion.architectures import Architecture, Conv, Flatten, student_architecture
from nversion.architectures.layers import ACTIVATIONS, LAYER_TYPES
from nversion.architectures.text import form
from nversion.cli.architectures import app

from ..conftest import blocks

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "architectures.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_architectures_are_what_the_page_says() -> None:
    student, forms, linear = (Architecture.parse(text) for text in blocks(PAGE, "architecture"))
    assert student == student_architecture()
    assert forms.layers[:4] == (Conv(8, "relu"),) * 4
    assert forms.layers[4:] == (Conv(16, "leaky-relu", 5, stride=2, padding=2),)
    assert linear.layers == (Flatten(),)
    for architecture in (student, forms, linear):
        architecture.check((1, 28, 28), 10)


def test_every_layer_and_activation_is_there() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", TEXT, flags=re.MULTILINE)
    assert rows == [form(layer) for layer in LAYER_TYPES]
    line = re.search(r"^`ACTIVATION` is (.*)\.$", TEXT, flags=re.MULTILINE)
    assert line
    assert re.findall(r"`([a-z-]+)`", line[1]) == list(ACTIVATIONS)


def test_the_commands_print_what_the_page_shows() -> None:
    for block in blocks(PAGE, "console"):
        command, *expected = block.splitlines()
        words = command.removeprefix("$ nversion architectures ").split()
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0
        printed = [line.rstrip() for line in result.stdout.splitlines()]
        assert [line for line in printed if line] == [line for line in expected if line]


@pytest.mark.parametrize("code", blocks(PAGE, "python"))
def test_the_python_runs(code: str) -> None:
    exec(compile(code, str(PAGE), "exec"), {})
