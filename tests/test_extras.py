from __future__ import annotations

import json
from pathlib import Path

import pytest

import nversion
from nversion.errors import MissingExtraError
from nversion.extras import how_to_install, needed

SOURCE = Path(nversion.__file__).parent


def test_what_is_installed_is_returned() -> None:
    assert needed("json", "onnx", "reading ONNX") is json


def test_what_is_missing_is_named_with_both_commands() -> None:
    with pytest.raises(MissingExtraError) as caught:
        needed("no_such_package", "onnx", "reading ONNX")
    said = str(caught.value)
    assert said.startswith("reading ONNX needs the package no_such_package")
    assert "pip install 'nversion[onnx]'" in said
    assert "in a checkout: pip install '.[onnx]'" in said
    assert said.endswith(how_to_install("onnx"))


def test_no_other_message_has_a_command_of_its_own() -> None:
    """In a module's docstring it may stand."""
    written = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "pip install" in path.read_text("utf-8").split('"""', 2)[-1]
    }
    assert written == {"extras.py"}
