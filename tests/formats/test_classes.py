"""Versions that know other classes, or fewer, than the images have."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError
from nversion.formats import class_names_of, with_classes
from nversion.program import voter_names
from nversion.versions import Origin, Record

NAMES = ("ant", "bee", "cat", "dog", "eel")


def version(
    names: tuple[str, ...], seed: int = 0, dtype: torch.dtype = torch.float32
) -> nv.Version:
    """A drawn network from elsewhere that knows these classes."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, len(names))
    ).eval()
    known = {field.name: None for field in dataclasses.fields(Record)}
    record = Record(
        **{
            **known,
            "name": "net",
            "shape": (1, 4, 4),
            "classes": len(names),
            "origin": Origin("net.onnx", "onnx", "0" * 64, {}),
            "class_names": names,
        }  # type: ignore[arg-type]
    )
    return nv.Version("net", None, model.to(dtype), record)


def images(count: int = 40) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_known_classes_keep_their_logits_and_no_vote_goes_to_others(dtype: torch.dtype) -> None:
    own = version(("dog", "ant", "bee"), dtype=dtype)
    wide = with_classes(own, NAMES)
    shown = images().to(dtype)
    before, after = own.model(shown), wide.model(shown)
    places = [NAMES.index(name) for name in ("dog", "ant", "bee")]
    assert torch.equal(after[:, places], before)
    assert set(after.argmax(1).tolist()) <= set(places)
    unknown = after[:, [2, 4]].double()
    means = before.double().mean(1, keepdim=True).expand(-1, 2)
    assert torch.allclose(unknown, means, atol=4.0 * torch.finfo(dtype).eps)
    assert wide.record.classes == 5


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=6).filter(lambda v: max(v) - min(v) > 1e-3)
)
def test_an_unknown_class_is_never_first_nor_last(logits: list[float]) -> None:
    given_logits = torch.tensor([logits], dtype=torch.float64)
    mean = given_logits.mean()
    assert float(given_logits.min()) < float(mean) < float(given_logits.max())


def test_one_that_does_not_know_a_class_vetoes_nothing() -> None:
    """Two versions are sure of an eel; a third knows none, and is as sure of a bee."""

    class Says(nn.Module):
        def __init__(self, place: int, count: int) -> None:
            super().__init__()
            self.logits = nn.Parameter(12.0 * nn.functional.one_hot(torch.tensor(place), count))

        def forward(self, shown: Tensor) -> Tensor:
            return self.logits.expand(len(shown), -1) + 0.0 * shown.flatten(1).sum(1, keepdim=True)

    blind = dataclasses.replace(version(("ant", "bee")), model=Says(1, 2).eval())
    members = [Says(4, 5), Says(4, 5), with_classes(blind, NAMES).model]
    for voter in voter_names():
        verdict = nv.Program(members, voter).vote(images(3))
        # A version that is as sure as the others may tie with them where only sureness counts.
        assert verdict.labels.tolist() in ([4] * 3, [-1] * 3), voter
        if voter not in ("k-of-n", "maximum-confidence"):
            assert verdict.labels.tolist() == [4] * 3, voter


@pytest.mark.parametrize("norm", [1, 2, float("inf")])
def test_radii_are_those_among_the_known_classes(norm: float) -> None:
    own = version(("dog", "ant", "bee"))
    wide = with_classes(own, NAMES)
    shown = images(4)
    labels = own.model(shown).argmax(1)
    named = torch.tensor([NAMES.index(("dog", "ant", "bee")[n]) for n in labels.tolist()])
    few = nv.certify(own.model, shown, labels, norm=norm)
    many = nv.certify(wide.model, shown, named, norm=norm)
    assert bool((few > 0).all())
    assert torch.allclose(few, many, rtol=1e-3)


def knowing(names: tuple[str, ...], seed: int) -> nn.Module:
    """One network of all classes, cut down to some of them and changed a little."""
    whole, own = version(NAMES, 2).model, version(names, 2)
    torch.manual_seed(seed)
    rows = [NAMES.index(name) for name in names]
    with torch.no_grad():
        for layer in (1, 3):
            weight, bias = whole[layer].weight, whole[layer].bias
            if layer == 3:
                weight, bias = weight[rows], bias[rows]
            own.model[layer].weight.copy_(weight * 4 + 0.05 * torch.randn(weight.shape))
            own.model[layer].bias.copy_(bias)
    return with_classes(own, NAMES).model


@pytest.mark.parametrize("voter", ["mean-softmax", "mean-logits"])
def test_no_attack_undercuts_the_certified_vote(voter: str) -> None:
    members = [knowing(NAMES[1:], 0), knowing(NAMES[:4], 1), knowing(NAMES, 2)]
    program = nv.Program(members, voter)
    shown = images(3)
    labels = program.vote(shown).labels
    radii = nv.certify(program, shown, labels, norm=2)
    found = nv.attack_program(program, shown, labels, norm=2, seed=0)
    assert bool((radii > 0).any())
    assert bool((radii <= found.l2).all())


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'bee'"):
        with_classes(version(("ant", "bees")), NAMES)


def test_numbers_among_words_are_places() -> None:
    own = version(("1", "0", "4"))
    after = with_classes(own, NAMES).model(images())
    assert torch.equal(after[:, [1, 0, 4]], own.model(images()))
    with pytest.raises(InputError, match="a class '5'"):
        with_classes(version(("1", "5")), NAMES)


@pytest.mark.parametrize(
    ("data", "told", "names"),
    [
        (NAMES, [("x",) * 5], NAMES),
        (("0", "1"), [(), ("1", "0"), ("cat", "dog"), ("dog", "cat")], ("cat", "dog")),
        (("0", "1"), [("cat", "dog", "eel"), ()], ("0", "1")),
        ((), [(), ("cat", "dog")], ("cat", "dog")),
        ((), [("1", "0")], ()),
    ],
)
def test_words_for_as_many_classes_name_them_where_data_have_numbers(
    data: tuple[str, ...], told: list[tuple[str, ...]], names: tuple[str, ...]
) -> None:
    assert class_names_of(data, told) == names
