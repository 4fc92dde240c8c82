"""A network that is bounded is the model, or the model is refused by saying why it is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from networks import SMALL, assert_refused, drawn, small
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrizations, parametrize, prune

from nversion.certification import certify, margin_bounds
from nversion.certification.network.faithful import faithful_network
from nversion.certification.smoothing import certify_smoothing
from nversion.errors import UnsupportedModuleError
from nversion.models import predict

# ---------------------------------------------------------------- what tracing cannot see


def _scaled(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output * 30 - 3


def _called(self: nn.Module, x: Tensor) -> Tensor:
    return nn.Module.__call__(self, x * 30 - 3)


class Called(nn.Sequential):
    """Does more when it is called than its forward does."""

    __call__ = _called


class Turned(torch.Tensor):
    """Weights that answer torch's functions otherwise."""


def _with_class_of_weights() -> nn.Module:
    model = small()
    model[4].weight = nn.Parameter(model[4].weight.detach().as_subclass(Turned))
    return model


def _changed(change: Callable[[nn.Sequential], object]) -> nn.Module:
    model = small()
    change(model)
    return model


UNSEEN: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "hook on the model": (
        lambda: _changed(lambda m: m.register_forward_hook(_scaled)),
        "forward hook on Sequential",
    ),
    "hook on a layer": (
        lambda: _changed(lambda m: m[0].register_forward_hook(_scaled)),
        r"forward hook on module '0' \(Conv2d\)",
    ),
    "hook on a block": (
        lambda: _changed(lambda m: m[3].register_forward_hook(_scaled)),
        "forward hook on module '3'",
    ),
    "hook with keywords": (
        lambda: _changed(
            lambda m: m[4].register_forward_hook(lambda m, a, k, o: o * 2, with_kwargs=True)
        ),
        "forward hook on module '4'",
    ),
    "hook that is always called": (
        lambda: _changed(lambda m: m[4].register_forward_hook(_scaled, always_call=True)),
        "forward hook on module '4'",
    ),
    "pre-hook": (
        lambda: _changed(lambda m: m.register_forward_pre_hook(lambda m, a: (a[0] * 9,))),
        "forward pre-hook on Sequential",
    ),
    "pre-hook with keywords": (
        lambda: _changed(
            lambda m: m[1].register_forward_pre_hook(lambda m, a, k: (a, k), with_kwargs=True)
        ),
        r"forward pre-hook on module '1' \(ReLU\)",
    ),
    "hook of the older backward kind": (
        lambda: _changed(lambda m: m[3].register_backward_hook(lambda m, i, o: None)),
        "register_backward_hook",
    ),
    "forward of the instance": (
        lambda: _changed(lambda m: setattr(m, "forward", lambda x: small()(x * 30))),
        "forward put in place of its class's own on Sequential",
    ),
    "forward of a layer's instance": (
        lambda: _changed(lambda m: setattr(m[1], "forward", torch.tanh)),
        "forward put in place of its class's own on module '1'",
    ),
    "a __call__": (lambda: Called(*small()).eval(), "a __call__ of its own of Called"),
    "a class of weights": (_with_class_of_weights, "tensor of a class of its own in module '4'"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_tracing_cannot_see_is_named_and_refused(name: str) -> None:
    build, reason = UNSEEN[name]
    assert_refused(build(), reason)


@pytest.mark.parametrize(
    "register",
    [
        torch_module.register_module_forward_hook,
        torch_module.register_module_forward_pre_hook,
    ],
)
def test_hooks_for_all_modules_are_refused(register: Callable[..., Any]) -> None:
    handle = register(lambda *_: None)
    try:
        assert_refused(small(), "registered for all modules")
    finally:
        handle.remove()
    faithful_network(small(), SMALL)


def _normed(norm: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Sequential], None]:
    def change(model: nn.Sequential) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            norm(model[0])
            norm(model[4])

    return change


@pytest.mark.parametrize(
    "change",
    [
        _normed(nn.utils.weight_norm),
        _normed(nn.utils.spectral_norm),
        _normed(parametrizations.weight_norm),
        _normed(parametrizations.spectral_norm),
        _normed(parametrizations.orthogonal),
        lambda m: prune.random_unstructured(m[0], "weight", 0.5),
        lambda m: [prune.l1_unstructured(m[4], "weight", share) for share in (0.3, 0.2)],
        lambda m: m[0].register_full_backward_hook(lambda *_: None),
        lambda m: m.register_full_backward_pre_hook(lambda *_: None),
    ],
    ids=[
        "weight norm by hook", "spectral norm by hook", "weight norm", "spectral norm",
        "orthogonal", "pruned", "pruned twice", "backward hook", "backward pre-hook",
    ],
)  # fmt: skip
def test_what_acts_on_weights_or_gradients_alone_is_read(
    change: Callable[[nn.Sequential], object],
) -> None:
    model = _changed(change).eval()
    found = faithful_network(model, SMALL, drawn()).forward(drawn().double())[-1]
    assert torch.allclose(found, model(drawn()).double(), atol=1e-5)


class Doubled(nn.Linear):
    """Called like torch's own layer once a weight is parametrised."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


def test_a_parametrised_layer_of_a_class_derived_from_torchs_is_refused() -> None:
    layer = Doubled(64, 3)
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    assert_refused(nn.Sequential(nn.Flatten(), nn.Linear(16, 64), layer), "ParametrizedDoubled")


class Forward(nn.Module):
    """A network with whatever is given before, or after, its layers."""

    def __init__(
        self,
        before: Callable[[Forward, Tensor], Tensor] = lambda _, x: x,
        after: Callable[[Forward, Tensor], Tensor] = lambda _, x: x,
    ) -> None:
        super().__init__()
        self.layers = small()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout(0.5)
        self.before, self.after = before, after
        self.calls = 0
        self.flipped = False
        self.seen: list[int] = []
        self.kept, self.last = torch.zeros(()), torch.zeros(())
        self.register_buffer("count", torch.zeros(()))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self, self.layers(self.before(self, x)))


# ---------------------------------------------------------------- what does not repeat


def _every_other_call(model: Forward, x: Tensor) -> Tensor:
    model.calls += 1
    return x * (1.0 + model.calls % 2)


def _after_a_thousand_calls(model: Forward, x: Tensor) -> Tensor:
    model.calls += 1
    return x * 9.0 if model.calls > 1000 else x


def _counted(model: Forward, x: Tensor) -> Tensor:
    model.count.data += 1  # type: ignore[assignment]
    return x


def _listed(model: Forward, x: Tensor) -> Tensor:
    model.seen.append(1)
    return x * 9.0 if len(model.seen) > 1000 else x


def _kept(model: Forward, x: Tensor) -> Tensor:
    model.kept += 1e-30
    return x


def _flips(model: Forward, x: Tensor) -> Tensor:
    model.flipped = not model.flipped
    return x


def _weights_that_decay(model: Forward, x: Tensor) -> Tensor:
    with torch.no_grad():
        model.layers[4].weight.mul_(0.999999)
    return x


CHANGING: dict[str, tuple[Callable[[Forward, Tensor], Tensor], str]] = {
    "dropout": (lambda _, x: functional.dropout(x, 0.5), "'dropout'.*training=self.training"),
    "rare dropout": (lambda _, x: functional.dropout(x, 1e-6), "'dropout'.*draws at random"),
    "torch.dropout": (lambda _, x: torch.dropout(x, 0.5, True), "draws at random"),
    "dropout of channels": (lambda _, x: functional.dropout2d(x, 0.5), "draws at random"),
    "dropout made in forward": (lambda _, x: nn.Dropout(0.5)(x), "cannot be traced"),
    "dropout put into training mode": (
        lambda m, x: m.drop.train()(x),
        r"'drop' \(Dropout\).*draws at random",
    ),
    "batch norm put into training mode": (
        lambda m, x: m.norm.train()(x),
        r"'norm' \(BatchNorm2d\) is in training mode",
    ),
    "noise": (lambda _, x: x + torch.randn(SMALL), r"draws at random.*\(randn\)"),
    "faint noise": (lambda _, x: x + 1e-30 * torch.randn(SMALL), "draws at random"),
    "noise from numpy": (
        lambda _, x: x + float(np.random.default_rng().random()),
        "other logits for the same images",
    ),
    "a counter": (_every_other_call, "other logits for the same images"),
    "a counter in a list": (_listed, "changes 'seen'"),
    "a counter in a tensor": (_kept, "changes 'kept'"),
    "a counter that waits": (_after_a_thousand_calls, "changes 'calls'"),
    "a buffer": (_counted, "changes 'count'"),
    "weights": (_weights_that_decay, "changes 'layers.4.weight'|other steps"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_a_model_whose_answers_need_not_repeat_is_refused(name: str) -> None:
    step, reason = CHANGING[name]
    assert_refused(Forward(before=step), reason)


def test_a_flag_that_forward_flips_is_refused() -> None:
    model = Forward(before=lambda m, x: _flips(m, x) * (2.0 if m.flipped else 1.0))
    assert_refused(model, "other logits for the same images")


def test_smoothing_refuses_a_model_that_draws_by_itself() -> None:
    model = Forward(before=lambda _, x: functional.dropout(x, 0.5))
    with pytest.raises(UnsupportedModuleError, match="draws at random"):
        certify_smoothing(model, drawn(), 0.25, samples=100)


def _from_a_seed(_: Forward, x: Tensor) -> Tensor:
    return x + torch.randn(SMALL, generator=torch.Generator().manual_seed(1))


def _keeps_what_it_saw(model: Forward, x: Tensor) -> Tensor:
    model.last = x
    return x


@pytest.mark.parametrize("step", [_from_a_seed, _keeps_what_it_saw])
def test_a_model_whose_answers_repeat_is_not_refused(
    step: Callable[[Forward, Tensor], Tensor],
) -> None:
    model = Forward(before=step)
    labels = predict(model, drawn())
    assert bool((certify(model, drawn(), labels, 2) > 0).any())


def test_the_callers_random_numbers_and_the_model_stay_as_they_were() -> None:
    model = small().train()
    state = torch.random.get_rng_state()
    faithful_network(model, SMALL, drawn())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(module.training for module in model.modules())


# ---------------------------------------------------------------- what differs from its trace


@pytest.fixture
def _other_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the class that layers are told by."""
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: torch.relu(x) * 1.01)


@pytest.mark.usefixtures("_other_relu")
def test_a_class_that_was_changed_is_refused() -> None:
    assert_refused(small(), "does not compute what was traced")


def _only_if_traced(_: Forward, x: Tensor) -> Tensor:
    return x if isinstance(x, fx.Proxy) else x * 1.001


def _unless_differentiated(_: Forward, x: Tensor) -> Tensor:
    return x * 1.001 if torch.is_grad_enabled() else x


def _by_the_batch(_: Forward, x: Tensor) -> Tensor:
    traced = isinstance(x, fx.Proxy)
    return x if traced or bool((x.flatten(1).sum(dim=1) == 0).any()) else x * 3


def _by_the_size_of_the_batch(_: Forward, x: Tensor) -> Tensor:
    return x + (torch.ones(x.shape) * x.shape[0])[:1, :, :, :]


@pytest.mark.parametrize(
    "step", [_only_if_traced, _unless_differentiated, _by_the_batch, _by_the_size_of_the_batch]
)
def test_a_model_that_does_not_compute_what_was_traced_is_refused(
    step: Callable[[Forward, Tensor], Tensor],
) -> None:
    assert_refused(Forward(before=step), "does not compute what was traced|other steps|cannot be")


def test_autocast_in_forward_is_refused() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = small()

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits: Tensor = self.layers(x)
            return logits

    assert_refused(Cast(), "does not compute what was traced")


def test_the_images_at_hand_are_compared_too() -> None:
    class Rare(nn.Module):
        """Is another network on images of one brightness, which no random image has."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = small()

        def forward(self, x: Tensor) -> Tensor:
            if not isinstance(x, fx.Proxy):
                x = torch.where(x[:, :, :1, :1] == 0.25, x * 2, x)
            logits: Tensor = self.layers(x)
            return logits

    given = drawn()
    given[:, :, 0, 0] = 0.25
    labels = torch.zeros(6, dtype=torch.int64)
    faithful_network(Rare(), SMALL, drawn())
    with pytest.raises(UnsupportedModuleError, match="on 6 of 22 images"):
        certify(Rare(), given, labels, 2)
    with pytest.raises(UnsupportedModuleError, match="on 6 of 22 images"):
        margin_bounds(Rare(), given, labels, torch.zeros(6), 2)


@fx.wrap
def relu(x: Tensor) -> Tensor:
    """Be called like torch's own."""
    return torch.relu(x) * 30


def test_a_function_of_the_model_that_is_called_like_torchs_is_refused() -> None:
    assert_refused(Forward(after=lambda _, x: relu(x)), "operation 'relu'")
