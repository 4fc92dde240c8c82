from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion import attacks
from nversion.arguments import typed
from nversion.certification.certify import certify as certify_network
from nversion.certification.smoothing import certify_smoothing
from nversion.errors import InputError
from nversion.program import certify_program, certify_program_smoothing

MODEL = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
IMAGES = torch.full((1, 1, 4, 4), 0.5)
LABELS = torch.tensor([0])


@typed
def call(
    model: nn.Module,
    box: tuple[float, float] | None = None,
    size: tuple[int, ...] = (),
    steps: int = 1,
    names: Sequence[str] = (),
    kind: Literal["a", "b"] = "a",
    say: Callable[[str], None] = print,
    **more: Any,
) -> str:
    return "called"


@pytest.mark.parametrize(
    "given",
    [
        *({"box": box} for box in (None, (0, 1), [0.0, 1.0], np.zeros(2), torch.zeros(2))),
        *({"size": size} for size in ((), (3, 4), torch.Size([2]), [np.int64(3)])),
        *({"steps": steps} for steps in (3, np.int64(3), torch.tensor(3), np.array(3))),
        {"names": ["a"]},
        {"kind": "unknown: a matter of its value"},
        {"any": 3, "thing": None},
    ],
)
def test_what_fits_is_passed_on(given: dict[str, Any]) -> None:
    assert call(MODEL, **given) == "called"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": 3}, "model must be a torch.nn.Module, not 3"),
        ({"box": True}, "box must be two numbers or None, not True"),
        ({"box": (0.0, 1.0, 2.0)}, r"box must be two numbers or None, not \(0.0, 1.0, 2.0\)"),
        ({"box": (0.0, True)}, "box must be two numbers"),
        ({"box": "01"}, "box must be two numbers or None, not '01'"),
        ({"size": (1.5,)}, "size must be a tuple of whole numbers"),
        ({"steps": 2.5}, "steps must be a whole number, not 2.5"),
        ({"steps": True}, "steps must be a whole number, not True"),
        ({"steps": torch.zeros(2)}, "steps must be a whole number, not Tensor"),
        ({"names": "abc"}, "names must be a sequence of strings, not 'abc'"),
        ({"names": ["a", 1]}, r"names\[1\] must be a string, not 1"),
        ({"kind": 1}, "kind must be a string, not 1"),
        ({"say": 1}, "say must be a function, not 1"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        call(**{"model": MODEL, **given})


def test_what_is_missing_or_too_much_python_says_itself() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'model'"):
        call()  # type: ignore[call-arg]
    assert list(inspect.signature(call).parameters)[:2] == ["model", "box"]


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public calls by name."""
    for name in sorted(set(nv.__all__)):
        if inspect.isfunction(getattr(nv, name)):
            yield f"nv.{name}", getattr(nv, name)
    for more in (certify_network, certify_smoothing, certify_program, certify_program_smoothing):
        yield f"{more.__module__}.{more.__name__}", more
    yield "nv.attacks.create", attacks.create
    yield "Attack", attacks.create("gradient").__call__
    yield "Architecture.parse", nv.Architecture.parse
    yield "Architecture.load", nv.Architecture.load
    yield "Architecture.build", nv.Architecture.parse("flatten\ndense, 4, relu").build


CALLS = dict(public())

GOOD: dict[Any, Any] = {nn.Module: MODEL, Tensor: IMAGES, str: "", Path: Path(), int: 1, float: 1.0}
"""What is never looked at, as an argument before or after it is refused."""


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_names_every_argument_of_a_wrong_type(name: str) -> None:
    function = CALLS[name]
    kinds = typing.get_type_hints(function)
    options = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    for wrong in options:
        if Any in (kinds[wrong.name], *typing.get_args(kinds[wrong.name])):
            continue
        with pytest.raises(InputError, match=rf"^{wrong.name} must be .*, not object$"):
            function(**_before(options, wrong.name, kinds), **{wrong.name: object()})


def _before(options: list[inspect.Parameter], wrong: str, kinds: dict[str, Any]) -> dict[str, Any]:
    """Return what does as the arguments that are needed besides a wrong one."""
    return {
        one.name: _any_of(kinds[one.name])
        for one in options
        if one.default is one.empty and one.name != wrong
    }


def _any_of(kind: Any) -> Any:
    if typing.get_origin(kind) is Sequence:
        return ()
    for part in (kind, *typing.get_args(kind)):
        if part in GOOD:
            return GOOD[part]
    if typing.get_origin(kind) is not None:
        return ()
    made = object.__new__(kind)
    assert isinstance(made, kind)
    return made


def test_a_program_says_what_its_parts_must_be() -> None:
    with pytest.raises(InputError, match=r"^models must be a sequence of torch.nn.Module, not int"):
        nv.Program(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^a voter is called by its name, a string, not list"):
        nv.Program([MODEL], voter=[])  # type: ignore[arg-type]


def test_a_box_that_is_no_range_is_still_refused() -> None:
    for box in ((1.0, 0.0), (math.nan, 1.0)):
        with pytest.raises(InputError, match=r"box must be \(low, high\) with low < high"):
            nv.certify(MODEL, IMAGES, LABELS, 2, box=box)
