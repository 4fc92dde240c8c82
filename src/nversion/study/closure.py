"""Which code a unit of work rests on: the modules that its class reaches by import.

No list of modules is kept by hand, as one that lacks a module keeps stale results in silence. The
closure starts at the module that defines the kind of unit and at those that define what it is
handed or finds by name (an attack, a voter), and follows every import statement, those inside
functions too.

- ``from package import Name`` leads to the module that defines Name, by the imports of the
  package's ``__init__``: what a package passes on beside it does not count. So a unit that runs one
  attack does not rest on the others, though all of them are loaded.
- ``import package`` leads to what is taken of it (``package.Name``), or to all that it imports
  where it is used as a whole.
- The ``__init__`` of a package around a module counts only if running it does more than to import
  and to define; otherwise it cannot change what the module does.
- Imports under ``if TYPE_CHECKING`` are not run, and do not count, but for a package that loads
  lazily what it names there (it defines ``__getattr__``) and is used as a whole.
- A module that may read files beside it counts with the files of its package; a compiled module
  counts by its bytes.
- Other people's libraries count by their versions. A module that is no library (it does not lie
  among the installed packages) and a plugin (an installed package that defines what is handed
  over) count by their sources: their package as a whole, with what it imports.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from nversion.errors import StudyError
from nversion.files import digest_of, sha256_of_file
from nversion.study.source import Import, Source, read_source

__all__ = ["Closure", "Sources", "code_digest", "roots_of"]

HOME = __name__.partition(".")[0]
"""Our own package."""

INSTALLED = {"site-packages", "dist-packages"}
"""Folders that hold installed libraries."""


def code_digest(kind: type, *uses: object) -> str:
    """Return a digest of the code that a unit runs.

    Args:
        kind: of unit.
        uses: objects (or classes) whose code it runs beside what it imports.

    Raises:
        StudyError: the source of one of them cannot be found.
    """
    return digest_of(kind.__qualname__, _digest(roots_of(kind, *uses)))


def roots_of(*things: object) -> tuple[str, ...]:
    """Return the modules that define functions, classes, or objects' classes, in order.

    Raises:
        StudyError: there is no such module.
    """
    return tuple(sorted({_home_of(thing) for thing in things}))


@functools.cache
def _digest(roots: tuple[str, ...]) -> str:
    return _installed().closure(roots).digest


@functools.cache
def _installed() -> Sources:
    return Sources()


def _home_of(thing: object) -> str:
    """Return the module that defines a function, a class, or an object's class."""
    if isinstance(thing, type):
        classes: Sequence[Any] = thing.__mro__
    else:
        classes = [thing] if hasattr(thing, "__qualname__") else type(thing).__mro__
    # A class that is made when it is asked for belongs to no module of its own, but its base does.
    for one in classes:
        name = str(one.__module__)
        if _top(name) not in sys.stdlib_module_names:
            return name
    raise StudyError(f"{thing!r}: a unit of work cannot rest on what no module defines")


@dataclasses.dataclass(frozen=True)
class Closure:
    """The code that a unit rests on.

    Attributes:
        modules: digest of what it does, by module.
        files: SHA-256 of the files that modules may read, by package and path.
        libraries: versions by name; "" for one that is not installed.
    """

    modules: dict[str, str]
    files: dict[str, str]
    libraries: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return digest_of(self.modules, self.files, self.libraries)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a module lies: its file, and its folders if it is a package.

    The file is None for a package without an ``__init__``.
    """

    file: Path | None
    folders: tuple[Path, ...] = ()


class Sources:
    """The modules' sources, each read once.

    Args:
        path: folders in which top-level packages are looked for before the usual places.
        home: the package whose modules count one by one.
    """

    def __init__(self, path: Sequence[str] = (), home: str = HOME) -> None:
        self.home = home
        self._path = list(path)
        self._places: dict[str, _Place | None] = {}
        self._sources: dict[str, Source | None] = {}

    def closure(self, roots: Iterable[str]) -> Closure:
        """Return the code that modules rest on, themselves included.

        Args:
            roots: names of modules; the packages they belong to count by their sources.

        Raises:
            StudyError: the source of one of them cannot be found.
        """
        roots = list(roots)
        for root in roots:
            if self.source(root) is None:
                raise StudyError(
                    f"the source of {root} cannot be found, so nobody could tell when it changes; "
                    "put what a study is to run into a module that lies in a file"
                )
        walk = _Walk(self, {self.home, *map(_top, roots)})
        walk.follow(roots)
        return Closure(
            {name: source.meaning for name, source in walk.found.items()},
            {name: sha256_of_file(file) for name, file in walk.files.items()},
            {name: _version(name) for name in walk.libraries},
        )

    def source(self, name: str) -> Source | None:
        """Return what a module says; None if it has no file."""
        if name not in self._sources:
            place = self.place(name)
            file = place.file if place else None
            package = name if place and place.folders else name.rpartition(".")[0]
            found = read_source(file, package) if file and file.is_file() else None
            self._sources[name] = found
        return self._sources[name]

    def place(self, name: str) -> _Place | None:
        """Return where a module lies, without importing it; None if there is none."""
        if name not in self._places:
            self._places[name] = self._locate(name) or _loaded(name)
        return self._places[name]

    def is_package(self, name: str) -> bool:
        """Return whether a module is a package."""
        place = self.place(name)
        return place is not None and bool(place.folders)

    def outermost(self, name: str) -> str | None:
        """Return the outermost package with an ``__init__`` that a module belongs to, if any."""
        for package in (*_ancestors(name), name):
            place = self.place(package)
            if place is not None and place.folders and place.file is not None:
                return package
        return None

    def modules(self, package: str) -> Iterator[str]:
        """Yield the names of all modules of a package."""
        place = self.place(package)
        for folder in place.folders if place else ():
            for file in sorted(folder.rglob("*.py")):
                yield ".".join((package, *_parts(file.relative_to(folder))))

    def files(self, package: str) -> Iterator[tuple[str, Path]]:
        """Yield the files of a package that are not code, each with a name."""
        place = self.place(package)
        for folder in place.folders if place else ():
            for file in sorted(folder.rglob("*")):
                inside = file.relative_to(folder)
                if file.is_file() and file.suffix != ".py" and "__pycache__" not in inside.parts:
                    yield f"{package}/{inside.as_posix()}", file

    def _locate(self, name: str) -> _Place | None:
        parent, _, last = name.rpartition(".")
        if not parent:
            spec = self._spec(name)
            if spec is None:
                return None
            file = Path(spec.origin) if spec.origin and spec.has_location else None
            return _Place(file, tuple(map(Path, spec.submodule_search_locations or ())))
        around = self.place(parent)
        folders = around.folders if around else ()
        for folder in folders:
            if (folder / last / "__init__.py").is_file():
                return _Place(folder / last / "__init__.py", (folder / last,))
            for suffix in (".py", *EXTENSION_SUFFIXES):
                if (folder / f"{last}{suffix}").is_file():
                    return _Place(folder / f"{last}{suffix}")
        spaces = tuple(folder / last for folder in folders if (folder / last).is_dir())
        return _Place(None, spaces) if spaces else None

    def _spec(self, name: str) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, self._path) if self._path else None
        try:
            return found or importlib.util.find_spec(name)
        except (ValueError, ImportError):
            return None


class _Walk:
    """One walk along the imports.

    Args:
        sources: of all modules.
        own: top-level packages that count by their sources wherever they lie.

    Attributes:
        found: the modules that count.
        files: the files that count, by package and path.
        libraries: the top-level packages that count by their versions.
    """

    def __init__(self, sources: Sources, own: set[str]) -> None:
        self._sources = sources
        self._own = own
        self.found: dict[str, Source] = {}
        self.files: dict[str, Path] = {}
        self.libraries: set[str] = set()
        self._whole: set[str] = set()

    def follow(self, names: Iterable[str]) -> None:
        """Add modules and what they reach."""
        left = list(names)
        while left:
            name = left.pop()
            if not self._counts_by_source(name):
                if name and _top(name) not in sys.stdlib_module_names:
                    self.libraries.add(_top(name))
                continue
            source = self._sources.source(name)
            if name in self.found or source is None:
                continue
            self.found[name] = source
            left += self._around(name, source)
            left += [
                target
                for one in source.imports
                if not one.types_only or "__getattr__" in source.defines
                for target in self._targets(one, source)
            ]

    def _around(self, name: str, source: Source) -> Iterator[str]:
        """Yield what counts with a module beside its imports, and note the files that do."""
        package: str | None = name if self._sources.is_package(name) else name.rpartition(".")[0]
        if _top(name) != self._sources.home:
            package = self._sources.outermost(name)
            if package is not None and package not in self._whole:
                self._whole.add(package)
                yield from self._sources.modules(package)
        if source.reads_files and package:
            self.files |= dict(self._sources.files(package))
        for ancestor in _ancestors(name):
            code = self._sources.source(ancestor)
            if code is not None and code.acts:
                yield ancestor

    def _counts_by_source(self, name: str) -> bool:
        top = _top(name)
        if top in self._own:
            return True
        if top in sys.stdlib_module_names:
            return False
        place = self._sources.place(top)
        if place is None:
            return False
        lies_in = (place.file, *place.folders)
        return not any(INSTALLED & set(path.parts) for path in lies_in if path is not None)

    def _targets(self, one: Import, source: Source) -> Iterator[str]:
        """Yield the modules that an import statement leads to."""
        taken = source.uses.get(one.bound, frozenset())
        if one.name is None:
            inside = tuple(one.module.removeprefix(one.stands_for).split(".")[1:])
            if not any(way[: len(inside)] == inside for way in taken):
                yield one.module
            yield from self._taken(one.stands_for, taken)
        elif one.name == "*":
            yield one.module
        else:
            for target, is_module in self._home(one.module, one.name, frozenset()):
                yield from self._taken(target, taken) if is_module else (target,)

    def _taken(self, module: str, taken: Iterable[tuple[str, ...]]) -> Iterator[str]:
        """Yield what code reaches that takes these attributes of a module."""
        ways = list(taken)
        if not self._looks_inside(module) or not ways or () in ways:
            yield module
            return
        for way in ways:
            for target, is_module in self._home(module, way[0], frozenset()):
                rest = [way[1:]] if way[1:] else []
                yield from self._taken(target, rest) if is_module else (target,)

    def _home(
        self, module: str, name: str, seen: frozenset[tuple[str, str]]
    ) -> list[tuple[str, bool]]:
        """Return where a module's name comes from, each with whether it is that module itself."""
        if not self._looks_inside(module) or (module, name) in seen:
            return [(module, False)]
        source = self._sources.source(module)
        submodule = f"{module}.{name}"
        if source is not None:
            if name in source.defines:
                return [(module, False)]
            found: list[tuple[str, bool]] = []
            for one in source.imports:
                if one.bound != name or (one.module, one.name) == (module, name):
                    continue
                if one.name is None:
                    found.append((one.stands_for, True))
                else:
                    found += self._home(one.module, one.name, seen | {(module, name)})
            if found:
                return found
        if self._sources.place(submodule) is not None:
            return [(submodule, True)]
        return [(module, False)]

    def _looks_inside(self, module: str) -> bool:
        return self._counts_by_source(module) and self._sources.is_package(module)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _ancestors(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _parts(file: Path) -> tuple[str, ...]:
    return file.parts[:-1] if file.name == "__init__.py" else file.with_suffix("").parts


def _loaded(name: str) -> _Place | None:
    """Return where a module lies that was loaded from elsewhere than the path, such as a script."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return _Place(Path(file)) if file else None


@functools.cache
def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(library, [])
        return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))
