"""Certification stays legible: few parameters, short functions, files that one can hold in mind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nversion

FOLDER = Path(nversion.__file__).parent / "certification"

MOST_PARAMETERS, MOST_LINES, LONGEST_FILE = 6, 50, 300

PUBLIC = {"certify.certify", "margins.margin_bounds", "smoothing.certify_smoothing"}
"""The public calls: each has what its users may choose, and says so at length."""

LONG_FILES = {"network/graph", "network/tracing"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    """Yield all functions below a tree, nested ones and methods too, with their names."""
    for child in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(child, Function | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            if isinstance(child, Function):
                yield name, child
        yield from _functions(child, name)


def _all_functions() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for path in sorted(FOLDER.rglob("*.py")):
        module = path.relative_to(FOLDER).with_suffix("").as_posix()
        found.update(_functions(ast.parse(path.read_text(encoding="utf-8")), module))
    return found


def _parameters(function: Function) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    own = bool(named) and named[0].arg in ("self", "cls")
    return len(named) - own + (given.vararg is not None) + (given.kwarg is not None)


def _lines(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_function_but_the_public_calls_has_many_parameters() -> None:
    counts = {name: _parameters(function) for name, function in _all_functions().items()}
    assert {name for name, count in counts.items() if count > MOST_PARAMETERS} <= PUBLIC


def test_no_function_but_the_public_calls_is_long() -> None:
    lines = {name: _lines(function) for name, function in _all_functions().items()}
    assert {name for name, count in lines.items() if count > MOST_LINES} <= PUBLIC


def test_what_is_exempt_exists() -> None:
    assert set(_all_functions()) >= PUBLIC


def test_files_are_short_but_for_a_few_that_are_named() -> None:
    long = {
        path.relative_to(FOLDER).with_suffix("").as_posix()
        for path in FOLDER.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    }
    assert long == LONG_FILES
