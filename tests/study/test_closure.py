from __future__ import annotations

import ast
import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest

import nversion
from nversion.attacks import create
from nversion.attacks.gradient import Gradient
from nversion.errors import StudyError
from nversion.program.voters import Majority
from nversion.study.closure import Closure, Sources, code_digest, roots_of
from nversion.study.units.training import TrainNetwork

FACADE = {
    "__init__.py": "from house.one import One\nfrom house.two import Two\n__all__ = ['One', 'Two']",
    "one.py": "class One: ...",
    "two.py": "class Two: ...",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def sources(folder: Path, text: str, **house: str) -> Sources:
    """Return the sources of a package with a module called unit that has this text."""
    files = {**FACADE, "unit.py": text, **{f"{name}.py": body for name, body in house.items()}}
    write(folder / "house", files)
    return Sources([str(folder)], home="house")


def reached(folder: Path, text: str, **house: str) -> set[str]:
    """Return the modules that the module called unit reaches."""
    found = sources(folder, text, **house).closure(["house.unit"]).modules
    return {name.removeprefix("house.") for name in found} - {"unit"}


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("from house.one import One", {"one"}),
        ("from house import One", {"one"}),
        ("from house import One as Other, Two", {"one", "two"}),
        ("from house import one", {"one"}),
        ("import house.one", {"one", "house", "two"}),
        ("import house.one\nhouse.one.One()", {"one"}),
        ("import house.one as o\no.One()", {"one"}),
        ("import house\nhouse.One()", {"one"}),
        ("import house\nhouse.two.Two()", {"two"}),
        ("import house as h\nh.Two()", {"two"}),
        ("import house as h\nf(h)", {"house", "one", "two"}),
        ("from house import *", {"house", "one", "two"}),
        ("from house import unknown", {"house", "one", "two"}),
        ("def f():\n    from house.two import Two", {"two"}),
        ("import_module('house.two')", {"two"}),
        ("if TYPE_CHECKING:\n    from house import One", set()),
        ("import json, torch", set()),
    ],
)
def test_an_import_leads_to_the_module_that_defines_what_is_taken(
    tmp_path: Path, text: str, modules: set[str]
) -> None:
    assert reached(tmp_path, text) == modules


def test_imports_are_followed_on_and_circles_end(tmp_path: Path) -> None:
    found = reached(
        tmp_path,
        "from house.three import f",
        three="from house.four import g",
        four="def g():\n    from house.three import f\n    from house import Two",
    )
    assert found == {"three", "four", "two"}


def test_what_a_package_defines_itself_counts_with_the_package(tmp_path: Path) -> None:
    house = "from house.one import One\ndef own(): ..."
    assert reached(tmp_path, "from house import own", __init__=house) == {"house", "one"}


def test_a_package_that_acts_counts_wherever_its_modules_do(tmp_path: Path) -> None:
    house = "from house.one import One\nOne.limit = 3"
    assert reached(tmp_path, "from house.two import Two", __init__=house) == {"house", "one", "two"}


def test_a_package_that_loads_lazily_is_looked_through(tmp_path: Path) -> None:
    house = (
        "if TYPE_CHECKING:\n    from house.one import One\n    from house.two import Two\n"
        "def __getattr__(name): ..."
    )
    assert reached(tmp_path, "from house import Two", __init__=house) == {"two"}
    assert reached(tmp_path, "import house as h\nf(h)", __init__=house) == {"house", "one", "two"}


def test_files_count_that_a_module_may_read(tmp_path: Path) -> None:
    def closure(one: str, content: str) -> Closure:
        write(tmp_path / "house", {"data/table.txt": content})
        return sources(tmp_path, "from house import One", one=one).closure(["house.unit"])

    reading = "from importlib import resources"
    assert list(closure(reading, "1").files) == ["house/data/table.txt"]
    assert closure(reading, "1").digest != closure(reading, "2").digest
    assert closure("", "1").digest == closure("", "2").digest


def test_libraries_count_by_their_versions(tmp_path: Path) -> None:
    found = Sources().closure(["nversion.study.units.training"])
    # Not torch.__version__, which may name a build that the installed package does not.
    for name in ("torch", "numpy"):
        assert found.libraries[name] == metadata.version(name)
    assert not {"json", "pathlib", "__future__"} & found.libraries.keys()
    drawing = sources(tmp_path, "import PIL.Image, not_installed").closure(["house.unit"])
    assert drawing.libraries["PIL"].lower().startswith("pillow ")
    assert drawing.libraries["not_installed"] == ""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of somebody else's with an attack, installed as libraries are."""
    place = tmp_path / "site-packages"
    attack = (
        "import dataclasses\nfrom nversion.attacks.adef import ADef\nfrom .helper import shift\n"
        "try:\n    from .compiled import fast\nexcept ImportError:\n    pass\n"
        "@dataclasses.dataclass(frozen=True)\nclass Mine(ADef):\n    name = 'mine'\n"
    )
    write(
        place / "theirs",
        {
            "__init__.py": "from theirs.attack import Mine\nMine()",
            "attack.py": attack,
            "helper.py": "def shift(): ...",
            "by_name.py": "HERE = __file__",
            "compiled.abi3.so": "\0",
            "weights.bin": "0",
        },
    )
    monkeypatch.syspath_prepend(str(place))
    importlib.invalidate_caches()
    yield place / "theirs"
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "edited", ["attack.py", "helper.py", "by_name.py", "weights.bin", "compiled.abi3.so"]
)
def test_a_plugin_counts_as_a_whole_wherever_it_is_installed(plugin: Path, edited: str) -> None:
    mine = importlib.import_module("theirs").Mine()
    roots = roots_of(TrainNetwork, mine)
    assert roots == ("nversion.study.units.training", "theirs.attack")
    before = Sources().closure(roots)
    assert {"theirs", "theirs.helper", "nversion.attacks.adef"} <= before.modules.keys()
    with (plugin / edited).open("a") as file:
        file.write("\nEDITED = 1\n")
    assert Sources().closure(roots).digest != before.digest
    assert "theirs" not in before.libraries


def test_what_a_module_takes_from_beside_the_installed_libraries_counts_by_its_source(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"beside.py": "x = 1"})
    assert reached(tmp_path, "from house import One", one="import beside") == {"one", "beside"}


def test_an_attack_made_when_it_is_asked_for_rests_on_its_base() -> None:
    made = dataclasses.make_dataclass("Made", [], bases=(Gradient,), frozen=True)
    made.__module__ = "types"
    assert roots_of(made()) == ("nversion.attacks.gradient",)


def test_the_digest_tells_kinds_of_units_and_what_they_use_apart() -> None:
    plain = code_digest(TrainNetwork)
    assert code_digest(TrainNetwork) == plain
    assert code_digest(TrainNetwork, create("gradient")) != plain
    assert code_digest(TrainNetwork, Majority) == code_digest(TrainNetwork, Majority())


def test_code_without_a_source_is_refused() -> None:
    typed = type("Typed", (), {"__module__": "nowhere"})
    with pytest.raises(StudyError, match="the source of nowhere cannot be found"):
        code_digest(TrainNetwork, typed())
    with pytest.raises(StudyError, match="no module defines"):
        code_digest(TrainNetwork, 3)


def test_no_list_of_modules_is_kept_by_hand() -> None:
    folder = Path(nversion.__file__).parent / "study"
    texts = [
        node.value
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [text for text in texts if text.startswith("nversion.")] == []
