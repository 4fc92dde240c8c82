"""What a module's ``__all__`` says is true: others import nothing of it that is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nversion

SOURCES = Path(nversion.__file__).parent


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(SOURCES.rglob("*.py")):
        parts = file.relative_to(SOURCES.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(file.read_text("utf-8"))


def listed(module: ast.Module) -> set[str] | None:
    """Return the names in ``__all__``; None if there is none, or it is made when it runs."""
    for statement in module.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            try:
                return set(ast.literal_eval(statement.value))
            except ValueError:
                return None
    return None


def test_what_other_modules_import_is_listed() -> None:
    known = dict(modules())
    lists = {name: listed(module) for name, module in known.items()}
    missing = {
        f"{node.module}: {imported.name}, imported by {name}"
        for name, module in known.items()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module in known
        for imported in node.names
        if f"{node.module}.{imported.name}" not in known
        and (names := lists[node.module]) is not None
        and imported.name not in names
    }
    assert missing == set()
