from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from nversion.study.source import Source, meaning, read_source


def source(folder: Path, text: str, package: str = "house.room") -> Source:
    file = folder / "module.py"
    file.write_text(textwrap.dedent(text))
    return read_source(file, package)


def test_comments_docstrings_and_layout_do_not_count() -> None:
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Module."""\ndef f(x):\n    """Add one."""\n    # why\n    return x + 1\n'

    def said(text: str) -> str:
        return meaning(ast.parse(text))

    assert said(plain + "\n\n") == said(plain)
    assert said('""""""\ndef f(x):\n    ""\n    return x + 1\n') == said(dressed)
    assert said(plain) != said(plain.replace("1", "2"))


@pytest.mark.parametrize(
    ("statement", "module", "name", "bound"),
    [
        ("import a.b", "a.b", None, "a"),
        ("import a.b as c", "a.b", None, "c"),
        ("from a import b as c", "a", "b", "c"),
        ("from a import *", "a", "*", "*"),
        ("from . import b", "house.room", "b", "b"),
        ("from .a import b", "house.room.a", "b", "b"),
        ("from ..a import b", "house.a", "b", "b"),
        ("def f():\n    from a import b", "a", "b", "b"),
        ("try:\n    import a\nexcept ImportError:\n    pass", "a", None, "a"),
        ("import_module('a.b')", "a.b", None, ""),
        ("importlib.import_module('.b', __package__)", "house.room.b", None, ""),
    ],
)
def test_every_kind_of_import_is_found(
    tmp_path: Path, statement: str, module: str, name: str | None, bound: str
) -> None:
    (found,) = source(tmp_path, statement).imports
    assert (found.module, found.name, found.bound) == (module, name, bound)
    assert not found.types_only


def test_imports_for_type_checkers_are_marked(tmp_path: Path) -> None:
    text = """
        if TYPE_CHECKING:
            import a
        else:
            import b
    """
    found = {one.module: one.types_only for one in source(tmp_path, text).imports}
    assert found == {"a": True, "b": False}


def test_it_knows_what_is_taken_of_an_imported_name(tmp_path: Path) -> None:
    text = """
        import a, b
        other = 1
        def f(x=a.one.two):
            return a.three(b, other)
    """
    assert source(tmp_path, text).uses == {
        "a": {("one", "two"), ("three",)},
        "b": {()},
    }


@pytest.mark.parametrize(
    "text",
    [
        '"""Text."""\nfrom a import b\n__all__ = ["b"]\nX: int = 1',
        "def f():\n    g()",
        "class C:\n    x = 1",
        "if TYPE_CHECKING:\n    import a",
    ],
)
def test_to_import_and_to_define_is_not_to_act(tmp_path: Path, text: str) -> None:
    assert not source(tmp_path, text).acts


@pytest.mark.parametrize(
    "text",
    ["f()", "x = f()", "a.b = 1", "@f\ndef g(): ...", "for x in y:\n    z", "class C(B): ..."],
)
def test_a_statement_that_may_change_something_elsewhere_acts(tmp_path: Path, text: str) -> None:
    assert source(tmp_path, text).acts


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("from importlib import resources", True),
        ("from importlib.resources import files", True),
        ("x = Path(__file__).parent", True),
        ("from importlib import metadata", False),
    ],
)
def test_it_knows_who_may_read_files_beside_it(tmp_path: Path, text: str, reads: bool) -> None:
    assert source(tmp_path, text).reads_files is reads


def test_what_is_no_python_counts_by_its_bytes(tmp_path: Path) -> None:
    assert source(tmp_path, "def (").meaning != source(tmp_path, "def ((").meaning
