"""What one file of Python says: what it does, what it imports, and which names it makes use of."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from nversion.files import digest_of

__all__ = ["Import", "Source", "meaning", "read_source"]

FILE_READERS = ("importlib.resources", "pkgutil")
"""Modules by which code gets at files that lie beside it."""


@dataclasses.dataclass(frozen=True)
class Import:
    """A name that an import statement binds.

    Attributes:
        module: that is imported, as an absolute name.
        name: what is taken from the module, "*" for all; None for the module itself.
        bound: the name it is bound to.
        stands_for: the module that `bound` is, where `name` is None: of ``import a.b`` it is "a".
        types_only: it is under ``if TYPE_CHECKING`` and never run.
    """

    module: str
    name: str | None
    bound: str
    stands_for: str = ""
    types_only: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """What a file says.

    Attributes:
        meaning: digest of what it does; comments, docstrings and layout do not change it.
        imports: what it imports, in functions too.
        uses: by imported name, the attributes that are taken of it, such as ("create",); an empty
            tuple where the name is used as a whole.
        defines: the names that it assigns or defines itself at its top level.
        acts: whether running it does more than to import and to define.
        reads_files: whether it may read files that lie beside it.
    """

    meaning: str
    imports: tuple[Import, ...] = ()
    uses: Mapping[str, frozenset[tuple[str, ...]]] = dataclasses.field(default_factory=dict)
    defines: frozenset[str] = frozenset()
    acts: bool = False
    reads_files: bool = False


def read_source(file: Path, package: str) -> Source:
    """Return what a file says.

    Args:
        file: a module's; one that is not valid Python counts by its bytes.
        package: the name of the package that its relative imports start from.
    """
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return Source(digest_of(content))
    reader = _Reader(package)
    reader.visit(tree)
    imported = {one.bound for one in reader.imports}
    return Source(
        meaning=digest_of(meaning(tree)),
        imports=tuple(reader.imports),
        uses={name: frozenset(taken) for name, taken in reader.uses.items() if name in imported},
        defines=frozenset(_defined(tree)),
        acts=any(_acts(statement) for statement in tree.body),
        reads_files="__file__" in reader.uses
        or any(
            f"{one.module}.{one.name}".startswith(FILE_READERS)
            for one in reader.imports
            if not one.types_only
        ),
    )


def meaning(tree: ast.Module) -> str:
    """Return what a tree does as text, and empty its docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[0].value.value = ""
    return ast.dump(tree)


class _Reader(ast.NodeVisitor):
    """Collects imports, and what is taken of each name."""

    def __init__(self, package: str) -> None:
        self.imports: list[Import] = []
        self.uses: dict[str, set[tuple[str, ...]]] = {}
        self._package = package
        self._types_only = False

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self.generic_visit(node)
            return
        before, self._types_only = self._types_only, True
        for statement in node.body:
            self.visit(statement)
        self._types_only = before
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            stands_for = alias.name if alias.asname else alias.name.partition(".")[0]
            self._add(alias.name, None, alias.asname or stands_for, stands_for)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node.module or "", node.level)
        for alias in node.names:
            self._add(module, alias.name, alias.asname or alias.name)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        called = node.func.id if isinstance(node.func, ast.Name) else called
        first = node.args[0] if node.args else None
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            relative = str(first.value)
            name = relative.lstrip(".")
            name = self._absolute(name, len(relative) - len(name))
            self._add(name, None, "", name)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        taken: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            taken.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name):
            self.uses.setdefault(base.id, set()).add(tuple(taken))
        else:
            self.visit(base)

    def visit_Name(self, node: ast.Name) -> None:
        self.uses.setdefault(node.id, set()).add(())

    def _absolute(self, module: str, level: int) -> str:
        if not level:
            return module
        parts = self._package.split(".")
        base = ".".join(parts[: len(parts) - level + 1])
        return f"{base}.{module}" if module else base

    def _add(self, module: str, name: str | None, bound: str, stands_for: str = "") -> None:
        self.imports.append(Import(module, name, bound, stands_for, self._types_only))


def _acts(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Pass():
            return False
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return bool(statement.decorator_list)
        case ast.ClassDef():
            return bool(statement.decorator_list or statement.bases or statement.keywords)
        case ast.Assign(targets=targets, value=value):
            return not (all(isinstance(one, ast.Name) for one in targets) and _is_plain(value))
        case ast.AnnAssign(target=ast.Name(), value=value):
            return value is not None and not _is_plain(value)
        case ast.If(test=test, orelse=orelse) if _is_type_checking(test):
            return any(map(_acts, orelse))
    return not _is_text(statement)


def _is_plain(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _defined(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (one.id for one in statement.targets if isinstance(one, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
