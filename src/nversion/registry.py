"""Things by name: attacks, voters, objectives and datasets, nversion's own and those of plugins.

One registry for each kind of thing. What comes with nversion is registered when its module is
imported. What an installed package adds is found by its `entry points
<https://packaging.python.org/en/latest/specifications/entry-points/>`_, and imported only when its
name is asked for, or when all names are: a plugin costs nothing until it is used, and one that is
broken stands in nobody's way.

A plugin's ``pyproject.toml`` names what it adds; the name is that of the thing itself::

    [project.entry-points."nversion.voters"]
    least-doubted = "my_package.voters:LeastDoubted"
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nversion.errors import InputError, NVersionError, PluginWarning
from nversion.naming import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry", "plugin_names"]

T = TypeVar("T")
Made = TypeVar("Made", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Classes (or functions) that make things of one kind, by name.

    Args:
        kind: what a thing is called in messages, such as "voter".
        group: the entry points by which plugins add such things.
        base: the class that every registered class derives from; None where functions are
            registered that make the things.
        first: names that are listed before the others, in this order.
        error: what is raised where a name or an option is wrong.
        beside: what else than the names there is, for messages.
        own: where nversion's own things are that are imported when they are asked for, by name,
            as ``module:class``.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        base: type[T] | None = None,
        *,
        first: Sequence[str] = (),
        error: type[NVersionError] = InputError,
        beside: Callable[[], str] = str,
        own: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self._group, self._base, self._first = group, base, tuple(first)
        self._error, self._beside = error, beside
        self._own = dict(own or {})
        self._makers: dict[str, Callable[..., T]] = {}
        # What is wrong with plugins that were tried, so that none is tried twice.
        self._broken: dict[str, str] = {}

    def register(self, made: Made) -> Made:
        """Enter a class under its ``name`` (a class decorator).

        Raises:
            InputError: it is no class of this kind, has no name, or another has that name.
        """
        wrong = self._wrong(made)
        if wrong:
            raise InputError(f"{_home(made)} cannot be registered: {wrong}")
        self.add(made.name, made)  # type: ignore[attr-defined]
        return made

    def add(self, name: str, maker: Callable[..., T]) -> None:
        """Enter what makes the thing called `name`.

        The same class may come again, as when its module is loaded anew.

        Raises:
            InputError: another has that name.
        """
        known = self._makers.get(name)
        if known is not None and _home(known) != _home(maker):
            raise InputError(
                f"two classes are called {name!r} as {self._a_kind()}: {_home(known)} and "
                f"{_home(maker)}; give one another name"
            )
        self._makers[name] = maker

    def knows(self, name: str) -> bool:
        """Return whether there is a thing of that name; nothing is imported to find out."""
        return name in self._makers or name in self._own or bool(_entry_points(self._group, name))

    def names(self) -> list[str]:
        """Return the names of all: nversion's own, and those of the plugins that can be loaded.

        Warns:
            PluginWarning: a plugin cannot be loaded, and is left out; it is named.
        """
        for name in self._own:
            self._import_own(name)
        for name in sorted({entry.name for entry in _entry_points(self._group)}):
            known_to_be_broken = name in self._broken
            self._load(name)
            if name in self._broken and not known_to_be_broken:
                warnings.warn(f"{self._broken[name]}; it is left out", PluginWarning, stacklevel=2)
        # Not as they happen to have been imported.
        placed = dict.fromkeys((*self._first, *self._own))
        first = [name for name in placed if name in self._makers]
        return first + [name for name in self._makers if name not in first]

    def maker(self, name: str) -> Callable[..., T]:
        """Return the class (or function) that is registered under `name`.

        Raises:
            InputError: there is none, or the plugin that has it cannot be loaded.
        """
        if not isinstance(name, str):
            raise self._error(
                f"{self._a_kind()} is called by its name, a string, not {type(name).__name__}"
            )
        if name in self._own:
            self._import_own(name)
        if name not in self._makers:
            self._load(name)
        if name in self._makers:
            return self._makers[name]
        if name in self._broken:
            raise self._error(self._broken[name])
        names = self.names()
        raise self._error(
            f"no {self.kind} is called {name!r}{did_you_mean(name, names)}; there are: "
            f"{', '.join(names)}{self._beside()}"
        )

    def options(self, name: str) -> dict[str, Any]:
        """Return the options of what is called `name`, with their defaults.

        Raises:
            InputError: as :meth:`maker`.
        """
        return _defaults(self.maker(name))

    def create(self, name: str, **options: Any) -> T:
        """Return the thing called `name`, with `options` in place of its defaults.

        Raises:
            InputError: there is none of that name, or it has no such option, or a value of the
                wrong type was given.
        """
        return self.made(name, self.maker(name), options)

    def made(self, name: str, maker: Callable[..., T], options: dict[str, Any]) -> T:
        """Return what `maker` makes of `options`, once they are known to be options of it.

        Raises:
            InputError: as :meth:`create`.
        """
        defaults = _defaults(maker)
        unknown = [option for option in options if option not in defaults]
        if unknown:
            raise self._error(
                f"the {self.kind} {name} has no option {', '.join(map(repr, unknown))}"
                f"{did_you_mean(unknown[0], defaults)}; it has: {', '.join(defaults) or 'none'}"
            )
        try:
            return maker(**options)
        except TypeError as error:
            given = ", ".join(f"{option}={value!r}" for option, value in options.items())
            usual = ", ".join(f"{option}={value!r}" for option, value in defaults.items())
            raise self._error(
                f"the {self.kind} {name} with {given or 'no options'}: a value of the wrong type; "
                f"the defaults are {usual or 'none'} ({error})"
            ) from error

    def _import_own(self, name: str) -> None:
        if name not in self._makers:
            module, _, made = self._own[name].partition(":")
            self._makers[name] = getattr(importlib.import_module(module), made)

    def _load(self, name: str) -> None:
        """Enter what plugins have under `name`; note what is wrong where that cannot be done."""
        entries = _entry_points(self._group, name)
        if not entries or name in self._broken:
            return
        packages = " and ".join(_package(entry) for entry in entries)
        if len(entries) > 1:
            self._broken[name] = (
                f"{self._a_kind()} called {name!r} comes from {packages}; uninstall all but one"
            )
            return
        said = f"the {self.kind} {name!r} of {packages} cannot be loaded"
        try:
            found = entries[0].load()
        except Exception as error:  # whatever somebody else's module does when it is imported
            self._broken[name] = f"{said}: {type(error).__name__}: {error}"
            return
        wrong = self._wrong(found, name)
        if not wrong and _home(self._makers.get(name, found)) != _home(found):
            wrong = f"nversion has {self._a_kind()} of that name already, and keeps it"
        if wrong:
            self._broken[name] = f"{said}: {wrong}"
        else:
            self._makers[name] = found

    def _wrong(self, made: Any, name: str | None = None) -> str:
        """Return why something cannot be registered, under `name` if there is one; "" if it can."""
        if self._base is None:
            return "" if callable(made) else f"it is no function that gives {self._a_kind()}"
        base = f"{self._base.__module__}.{self._base.__qualname__}"
        if not (isinstance(made, type) and issubclass(made, self._base)):
            return f"it is no class that derives from {base}"
        own = getattr(made, "name", None)
        if not isinstance(own, str) or not own:
            return "it has no name; give its class one, as name: ClassVar[str]"
        if inspect.isabstract(made):
            missing = ", ".join(sorted(getattr(made, "__abstractmethods__", ())))
            return f"it lacks what {self._a_kind()} must have: {missing}"
        if name is not None and own != name:
            return f"its class is called {own!r}; an entry point must have the name of its class"
        return ""

    def _a_kind(self) -> str:
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"


def plugin_names(group: str) -> list[str]:
    """Return the names under which installed plugins add to a group; none of them is imported."""
    return sorted({entry.name for entry in _entry_points(group)})


def _entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
    # It takes as long to import as all of `nversion --help`.
    from importlib import metadata

    found = metadata.entry_points(group=group)
    # A package that lies on the path twice has its entry points twice.
    entries = {(entry.name, entry.value, _package(entry)): entry for entry in found}
    return [entry for entry in entries.values() if name is None or entry.name == name]


def _package(entry: EntryPoint) -> str:
    dist = entry.dist
    return f"the plugin {dist.name} {dist.version}" if dist else f"the plugin {entry.module}"


def _home(made: Any) -> str:
    """Return where something was defined, in full."""
    return f"{made.__module__}.{getattr(made, '__qualname__', made)}"


def _defaults(maker: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of what is made, with their defaults."""
    if dataclasses.is_dataclass(maker):
        return {field.name: field.default for field in dataclasses.fields(maker) if field.init}
    return {
        option.name: option.default
        for option in inspect.signature(maker).parameters.values()
        if option.kind not in (option.VAR_POSITIONAL, option.VAR_KEYWORD)
    }
