from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nversion.errors import ArtefactError, ConfigError
from nversion.reading import (
    NAME_LIMIT,
    check_expansion,
    check_name,
    checked,
    cleaned,
    parse_json,
    parse_toml,
    printable,
    read_bytes,
    read_text,
    read_toml,
    shortened,
)


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert read_bytes(tmp_path / "x", 3) == b"abc"
    with pytest.raises(ArtefactError, match="x: more than 2 bytes"):
        read_bytes(tmp_path / "x", 2)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArtefactError, match="sparse: more than 1,000,000 bytes"):
        read_bytes(tmp_path / "sparse")


def test_what_is_no_file_is_named_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: no such file"):
        read_text(tmp_path / "none", error=ConfigError)
    with pytest.raises(ArtefactError, match="is not a plain file"):
        read_text(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtefactError, match="pipe: is not a plain file"):
        read_text(tmp_path / "pipe")
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9")
    assert read_text(tmp_path / "x") == "café"
    (tmp_path / "x").write_bytes(b"caf\xe9")
    with pytest.raises(ArtefactError, match="x: not readable as UTF-8 text"):
        read_text(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deep|nested more than"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("9" * 5_000, "Exceeds the limit"),
        ("9" * 400, "more than 300 digits"),
        ("NaN", "NaN is not a number of JSON"),
        ("[1, -Infinity]", "-Infinity is not a number"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_could_do_harm_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArtefactError, match=rf"there: not readable as JSON \(.*({message})"):
        parse_json(text, "there")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 100_000, "nested too deep|nested more than"),
        (".".join("a" * 5_000) + " = 1", "nested"),
        ("x = " + "9" * 5_000, "Exceeds the limit"),
        ("x = 0x" + "f" * 5_000, "more than 300 digits"),
        ("x = ", "Invalid value"),
    ],
)
def test_toml_that_could_do_harm_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"there: not readable as TOML: .*({message})"):
        parse_toml(text, "there", ConfigError)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ArtefactError, match=r"x\.toml: not readable as TOML"):
        read_toml(tmp_path / "x.toml")


@pytest.mark.parametrize("name", ["v001", "foolbox:DDN", "a b", ".x", "é", "v" * NAME_LIMIT])
def test_a_plain_name_is_given_back(name: str) -> None:
    assert check_name(name, "it") == name


@given(name=st.text(max_size=8) | st.integers() | st.none() | st.lists(st.text()))
def test_a_checked_name_is_a_file_of_its_own_folder(name: Any) -> None:
    try:
        check_name(name, "it")
    except ArtefactError:
        return
    path = Path("folder") / name
    assert path.name == name
    assert path.parent == Path("folder")
    assert path.resolve().parent == Path("folder").resolve()


@given(text=st.text())
def test_printable_text_can_be_written_and_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert all(character.isprintable() or character not in "\x1b\r\b\x07" for character in shown)
    assert printable(shown) == shown
    assert len(shown) == len(text)


def test_what_promises_more_than_it_can_hold_is_refused() -> None:
    check_expansion(10, 1 << 26, "x")
    check_expansion(10**7, 2 * 10**9, "x")
    with pytest.raises(ArtefactError, match="x: 10 bytes that promise 67,108,865 unpacked"):
        check_expansion(10, (1 << 26) + 1, "x")


@dataclasses.dataclass(frozen=True)
class Point:
    name: str
    place: tuple[int, int]
    weight: float = 1.0


def test_values_become_a_dataclass_if_they_are_of_its_types() -> None:
    assert checked(Point, {"name": "a", "place": [1, 2]}, "x") == Point("a", (1, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a"}, "x: place: .*missing|x: place: Field required"),
        ({"name": 1, "place": [1, 2]}, "x: name: .*, not 1"),
        ({"name": "a", "place": [1, 2.5]}, "x: place.1: "),
        ({"name": "a", "place": [1, 2], "weight": "9" * 500}, "x: weight: .{0,200}$"),
        ({"name": "a", "place": [1, 2], "more": 1}, "x: 'more': no such key"),
    ],
)
def test_values_of_other_types_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(Point, values, "x", ConfigError)


def test_long_values_are_cut_in_messages() -> None:
    assert shortened("a\x1b") == "'a\\x1b'"
    assert len(shortened("x" * 1_000)) < 70


def test_cleaned_text_can_be_written_and_keeps_line_ends() -> None:
    value = json.loads('{"a\\u0000": ["\\ud800x", "ok\\n\\t\\u00e9", 3, null]}')
    assert cleaned(value) == {"a\ufffd": ["\ufffdx", "ok\n\té", 3, None]}
