from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from nversion.errors import DatasetError, InputError, PluginWarning
from nversion.registry import Registry, plugin_names

GROUP = "nversion.tests"


class Tool:
    """What the registries of these tests hold."""

    name: ClassVar[str]


@dataclasses.dataclass(frozen=True)
class Saw(Tool):
    teeth: int = 20
    name: ClassVar[str] = "saw"


@dataclasses.dataclass(frozen=True)
class Hammer(Tool):
    name: ClassVar[str] = "hammer"

    def __post_init__(self) -> None:
        pass


@pytest.fixture
def tools() -> Registry[Tool]:
    found: Registry[Tool] = Registry("tool", GROUP, Tool, first=("saw", "none yet"))
    found.register(Hammer)
    found.register(Saw)
    return found


def test_what_is_registered_is_created_by_name(tools: Registry[Tool]) -> None:
    assert tools.names() == ["saw", "hammer"]
    assert tools.create("saw", teeth=3) == Saw(3)
    assert tools.create("hammer") == Hammer()
    assert tools.options("saw") == {"teeth": 20}
    assert tools.knows("saw")
    assert not tools.knows("axe")


def test_own_names_keep_their_order_however_they_were_imported() -> None:
    own = {"saw": "nowhere:Saw", "hammer": "nowhere:Hammer"}
    found: Registry[Tool] = Registry("tool", GROUP, Tool, own=own)
    found.register(Hammer)
    found.register(Saw)
    assert found.names() == ["saw", "hammer"]


def test_functions_are_registered_under_a_name() -> None:
    numbers: Registry[int] = Registry("number", GROUP, error=DatasetError)

    def twice(of: int = 1) -> int:
        return 2 * of

    numbers.add("twice", twice)
    assert numbers.create("twice", of=4) == 8
    with pytest.raises(DatasetError, match="no number is called 'thrice'"):
        numbers.create("thrice")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("saww", {}, r"no tool is called 'saww' \(did you mean 'saw'\?\); there are: saw, hammer$"),
        ("saw", {"teath": 1}, r"saw has no option 'teath' \(did you mean 'teeth'\?\).*: teeth$"),
        ("hammer", {"weight": 1}, "hammer has no option 'weight'; it has: none"),
    ],
)
def test_what_does_not_exist_is_named_with_what_was_meant(
    tools: Registry[Tool], name: str, options: dict[str, int], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        tools.create(name, **options)


def test_the_same_class_may_come_again_but_no_other_of_its_name(tools: Registry[Tool]) -> None:
    assert tools.register(Saw) is Saw

    class Other(Tool):
        name: ClassVar[str] = "saw"

    with pytest.raises(InputError, match=r"two classes are called 'saw'.*Saw and .*Other"):
        tools.register(Other)


def test_what_is_no_such_thing_is_not_registered(tools: Registry[Tool]) -> None:
    class Nameless(Tool):
        pass

    with pytest.raises(InputError, match="Nameless cannot be registered: it has no name"):
        tools.register(Nameless)
    with pytest.raises(InputError, match=r"it is no class that derives from .*Tool"):
        tools.register(dict)


def plugin(cls: str, name: str) -> str:
    """Return the text of a module with a tool."""
    base = f"{__name__}.Tool"
    return (
        f"(base,) = [c for c in object.__subclasses__() "
        f"if f'{{c.__module__}}.{{c.__qualname__}}' == {base!r}]\n"
        f"class {cls}(base):\n    name = {name!r}\n"
    )


def test_a_plugin_is_loaded_when_its_name_is_asked_for_and_not_before(
    tools: Registry[Tool], install: Callable[..., Path]
) -> None:
    install("with_axe", plugin("Axe", "axe"), {GROUP: {"axe": "with_axe:Axe"}})
    install("with_drill", plugin("Drill", "drill"), {GROUP: {"drill": "with_drill:Drill"}})
    assert plugin_names(GROUP) == ["axe", "drill"]
    assert tools.knows("axe")
    assert tools.create("saw") == Saw()
    assert "with_axe" not in sys.modules
    assert type(tools.create("axe")).__name__ == "Axe"
    assert "with_drill" not in sys.modules
    assert tools.names() == ["saw", "hammer", "axe", "drill"]
    with pytest.raises(InputError, match="did you mean 'drill'"):
        tools.create("dril")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import not_installed_anywhere", "ModuleNotFoundError: .*not_installed_anywhere"),
        ("", "AttributeError: .*Bad"),
        ("class Bad: name = 'bad'", "no class that derives from .*Tool"),
        (plugin("Bad", "good"), "its class is called 'good'; an entry point must have the name"),
    ],
)
def test_a_broken_plugin_is_named_and_leaves_the_others_alone(
    tools: Registry[Tool], install: Callable[..., Path], text: str, why: str
) -> None:
    install("with_bad", text, {GROUP: {"bad": "with_bad:Bad"}})
    install("with_axe", plugin("Axe", "axe"), {GROUP: {"axe": "with_axe:Axe"}})
    said = f"the tool 'bad' of the plugin with_bad 1.0 cannot be loaded: .*{why}"
    assert type(tools.create("axe")).__name__ == "Axe"
    with pytest.warns(PluginWarning, match=f"{said}.*; it is left out"):
        assert tools.names() == ["saw", "hammer", "axe"]
    with pytest.raises(InputError, match=said):
        tools.create("bad")
    # Once is enough.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tools.names() == ["saw", "hammer", "axe"]


def test_a_plugin_does_not_take_a_name_that_is_taken(
    tools: Registry[Tool], install: Callable[..., Path]
) -> None:
    install("with_saw", plugin("Better", "saw"), {GROUP: {"saw": "with_saw:Better"}})
    with pytest.warns(PluginWarning, match="nversion has a tool of that name already"):
        assert tools.names() == ["saw", "hammer"]
    assert tools.create("saw") == Saw()


def test_two_plugins_of_one_name_are_refused_by_name(
    tools: Registry[Tool], install: Callable[..., Path]
) -> None:
    for number in ("one", "two"):
        install(f"axe_{number}", plugin("Axe", "axe"), {GROUP: {"axe": f"axe_{number}:Axe"}})
    with pytest.raises(InputError, match=r"'axe' comes from .*axe_.* and .*axe_.*; uninstall all"):
        tools.create("axe")


def test_plugins_cost_nothing_to_import_the_package() -> None:
    code = "import sys, nversion.registry; sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
