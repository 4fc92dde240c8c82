"""Models that give something else than logits: recognised, read rightly, or refused by name."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError, OutputsWarning
from nversion.models import evaluate, frozen, predict
from nversion.outputs import check_outputs, kind_of, logits_of
from nversion.recognition import reader

SHAPE = (1, 4, 4)
IMAGES = torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0))


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()


class Ends(nn.Module):
    """A network with a step at its end."""

    def __init__(self, model: nn.Module, step: object) -> None:
        super().__init__()
        self.model, self.step = model, step

    def forward(self, images: Tensor) -> object:
        return self.step(self.model(images))  # type: ignore[operator]


class Sharp(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.softmax(values * 30.0, 1)


ENDS = [
    nn.Softmax(1),
    nn.Softmax(dim=-1),
    lambda z: nn.functional.softmax(z, dim=1),
    lambda z: z.softmax(1),
    lambda z: torch.softmax(input=z, dim=1),
    nn.Sequential(nn.Dropout(), nn.Sequential(nn.Softmax(1), nn.Identity())),
]


@pytest.mark.parametrize("end", ENDS)
def test_a_softmax_at_the_end_is_left_out_exactly(end: object) -> None:
    model = network()
    with frozen(model), pytest.warns(OutputsWarning, match="the softmax at its end is left out"):
        found = reader(Ends(model, end), SHAPE)
    with torch.no_grad(), frozen(found):
        assert torch.equal(found(IMAGES), model(IMAGES))


@pytest.mark.parametrize(
    "end",
    [
        lambda z: z.softmax(1) * 1.0,
        lambda z: z.exp() / z.exp().sum(1, keepdim=True),
        lambda z: z.softmax(1).clone().clamp_(0.0, 1.0),
        lambda z: z.softmax(1).clamp_(1e-9, 1.0),
    ],
)
def test_of_other_probabilities_the_logarithm_is_taken(end: object) -> None:
    model = network()
    with pytest.warns(OutputsWarning, match="their logarithm is taken"):
        found = reader(Ends(model, end), SHAPE)
    with torch.no_grad():
        assert torch.allclose(found.eval()(IMAGES), model(IMAGES).log_softmax(1), atol=1e-5)


def test_a_program_can_be_transformed_by_torch_func_at_first_use() -> None:
    program = nv.Program([network(0), network(1)])
    mapped = torch.func.vmap(lambda image: program(image[None])[0])(IMAGES)
    assert torch.allclose(mapped, program(IMAGES), atol=1e-5)


def test_logarithms_are_finite() -> None:
    assert logits_of(torch.tensor([[0.0, 1.0]])).isfinite().all()
    assert logits_of(torch.tensor([[0.0, 1.0]], dtype=torch.float16)).dtype == torch.float32


@pytest.mark.parametrize(
    "model",
    [
        network(),
        Ends(network(), nn.LogSoftmax(1)),
        Ends(network(), lambda z: z.relu()),
        Ends(network(), lambda z: nn.functional.one_hot(z.argmax(1), 4).float()),
        nv.Program([network(0), network(1)]),
        nv.as_logits(Ends(network(), nn.Softmax(1))),
        nv.as_logits(Ends(network(), nn.Softmax(1)), outputs="logits"),
    ],
)
def test_nothing_is_said_of_logits_and_of_what_is_declared(model: nn.Module) -> None:
    assert reader(model, SHAPE) is model


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.lists(st.floats(-6, 6), min_size=3, max_size=3), min_size=1, max_size=5, unique_by=tuple
    ),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_kinds(rows: list[list[float]], dtype: torch.dtype) -> None:
    logits = torch.tensor(rows)
    assert kind_of(logits.softmax(1).to(dtype)) == "probabilities"
    assert kind_of(logits.log_softmax(1).to(dtype)) == "log-probabilities"
    assert kind_of((logits.abs() + 1.0).to(dtype)) == "logits"
    assert kind_of(torch.eye(3, dtype=dtype)) == "logits"


def test_what_is_declared_wrongly_is_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        evaluate(nv.as_logits(network()).eval(), IMAGES)
    with pytest.raises(InputError, match="probabilities"):
        nv.as_logits(network(), outputs="percent")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Module, not 'model'"):
        nv.as_logits("model")  # type: ignore[arg-type]


@pytest.mark.parametrize("voter", ["mean-softmax", "mean-logits", "median-softmax", "majority"])
def test_a_program_of_probabilities_votes_and_certifies_as_one_of_logits(voter: str) -> None:
    models = [network(seed) for seed in range(3)]
    soft = nn.Sequential(models[2], nn.Softmax(1))
    program = nv.Program(models, voter)
    mixed = nv.Program([*models[:2], soft], voter)
    right = program.vote(IMAGES)
    with pytest.warns(OutputsWarning, match=r"models\[2\] gives probabilities.*as_logits"):
        found = mixed.vote(IMAGES)
    assert torch.equal(found.labels, right.labels)
    assert torch.equal(found.probabilities, right.probabilities)
    declared = nv.Program([*models[:2], nv.as_logits(soft)], voter)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in (mixed, declared, copy.deepcopy(mixed)):
            assert torch.equal(same.vote(IMAGES).probabilities, right.probabilities)
            assert torch.equal(same.members(IMAGES), program.members(IMAGES))
        labels = right.labels.clamp(min=0)
        radii = [nv.certify(p, IMAGES, labels, 2) for p in (program, mixed, declared)]
    assert torch.equal(radii[0], radii[1])
    assert torch.equal(radii[0], radii[2])
    assert voter == "median-softmax" or float(radii[0].max()) > 0.0
    assert mixed.models[2] is soft, "a program's versions stay what they were"
    again = pickle.loads(pickle.dumps(mixed))
    assert torch.equal(again.vote(IMAGES).probabilities, right.probabilities)


def test_teacher_labels_of_probabilities_are_not_flattened() -> None:
    from nversion.distillation import teacher_labels

    models = [network(seed) for seed in range(2)]
    soft = [nv.as_logits(nn.Sequential(model, nn.Softmax(1))) for model in models]
    expected = teacher_labels(nv.Program(models), IMAGES)
    assert torch.equal(teacher_labels(nv.Program(soft), IMAGES), expected)


def test_attacks_and_certificates_of_a_softmax_are_those_of_its_logits() -> None:
    model = network()
    sharp = nn.Sequential(model, Sharp())
    labels = predict(model, IMAGES)
    scaled = Ends(model, lambda z: z * 30.0)
    for name in ("deepfool", "carlini-wagner", "gradient-sign"):
        attack = nv.attacks.create(name)
        with pytest.warns(OutputsWarning, match="the model gives probabilities"):
            found = attack(sharp, IMAGES, labels)
        assert torch.equal(found.images, attack(scaled, IMAGES, labels).images)
    with pytest.warns(OutputsWarning, match="left out"):
        radii = nv.certify(sharp, IMAGES, labels, 2)
    plain = nv.certify(scaled, IMAGES, labels, 2)
    assert torch.equal(plain, nv.certify(nv.as_logits(sharp), IMAGES, labels, 2))
    # The softmax's own rounding counts where it was not declared: classes may tie after it.
    assert bool((radii <= plain).all())
    torch.testing.assert_close(radii, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda z: z.softmax(1) * 2.0, r"softmax.*can be certified only at the end"),
        (lambda z: z.softmax(1).log_softmax(1), r"softmax.*only at the end.*log_softmax"),
        (lambda z: z.softmax(0), "softmax"),
        (lambda z: z.exp(), "softmax or log-softmax at the end, which is left out"),
    ],
)
def test_a_softmax_elsewhere_is_refused(end: object, said: str) -> None:
    from nversion.errors import UnsupportedModuleError

    with pytest.raises(UnsupportedModuleError, match=said):
        nv.certify(Ends(network(), end), IMAGES, torch.zeros(12, dtype=torch.int64), 2)


def test_probabilities_of_another_make_are_not_certified() -> None:
    from nversion.errors import UnsupportedModuleError

    linear = nn.Linear(16, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.01], [-0.01]]).expand(2, 16))
        linear.bias.fill_(0.5)
    model = nv.as_logits(nn.Sequential(nn.Flatten(), linear))
    with pytest.raises(UnsupportedModuleError, match="not by a softmax at its end"):
        nv.certify(model, IMAGES, torch.zeros(12, dtype=torch.int64), 2)


REFUSED = [
    (lambda z: (z, z), "a tuple of 0, 1; say which"),
    (lambda z: {"a": z, "b": z}, r"a dict of a, b; say which is meant: .*key='a'"),
    (lambda z: z[:, :, None, None].expand(-1, -1, 2, 1), r"\[\d+, 4, 2, 1\]"),
    (lambda z: z[:1], r"\[1, 4\] for"),
    (lambda z: z.argmax(1), r"logits \[count, classes\], but gave \[\d+\]"),
    (lambda z: z.long(), "torch.int64"),
    (lambda z: z / 0.0 * 0.0, "NaN for every image"),
]


@pytest.mark.parametrize(("end", "said"), REFUSED)
def test_what_is_no_logits_is_refused_by_name(end: object, said: str) -> None:
    model, labels = Ends(network(), end), torch.zeros(12, dtype=torch.int64)
    calls = {
        "the model": [
            lambda: nv.certify(model, IMAGES, labels, 2),
            lambda: nv.attacks.create("deepfool")(model, IMAGES, labels),
            lambda: nv.attacks.create("gradient")(model, IMAGES, labels),
        ],
        r"models\[1\]": [
            lambda: nv.Program([network(), model])(IMAGES),
            lambda: nv.certify(nv.Program([network(), model]), IMAGES, labels, 2),
        ],
    }
    for name, asked in calls.items():
        for call in asked:
            with pytest.raises(InputError, match=f"^{name} .*{said}"):
                call()
    # A vote goes on without it; of two versions one is no quorum.
    verdict = nv.Program([network(), model]).vote(IMAGES)
    assert bool((verdict.labels == -1).all())
    assert [fault.version for fault in verdict.faults] == [1]
    assert verdict.faults[0].kind == ("nan" if "NaN" in said else "shape")


def test_a_version_for_another_image_size_is_named() -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(100, 4))
    labels = torch.zeros(12, dtype=torch.int64)
    said = r"fails on images of \[1, 4, 4\], .*made for others.*: mat1 and mat2"
    for call in (
        lambda: nv.certify(other, IMAGES, labels, 2),
        lambda: nv.attacks.create("square")(other, IMAGES, labels),
        lambda: evaluate(other, IMAGES),
    ):
        with pytest.raises(InputError, match=f"the model {said}"):
            call()
    with pytest.raises(InputError, match=rf"models\[1\] {said}"):
        nv.Program([network(), other])(IMAGES)
    (fault,) = nv.Program([network(), other]).vote(IMAGES).faults
    assert str(fault).startswith("models[1] raises RuntimeError: mat1 and mat2")


@pytest.mark.parametrize("weights", [{"a": 1, "b": 2}, "ab", [1, "2"], [None, 1.0]])
def test_weights_that_are_no_numbers_are_refused(weights: object) -> None:
    with pytest.raises(InputError, match="weights must be one number for each of the 2 versions"):
        nv.Program([network(), network()], weights=weights)  # type: ignore[arg-type]


def test_outputs_that_pass() -> None:
    check_outputs(torch.zeros(3, 2), 3)
