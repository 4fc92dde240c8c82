"""What a model gives, and PyTorch's modes, do not come between a network and its trace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from networks import assert_refused, drawn, small
from torch import Tensor, fx, nn

from nversion.certification import certify, margin_bounds
from nversion.errors import OutputsWarning
from nversion.models import predict
from nversion.outputs import as_logits
from nversion.program import Program, certify_program


def with_softmax(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, nn.Softmax(1)).eval()


class OnlyIfTraced(nn.Module):
    """Is another network than the one that tracing sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = small()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x if isinstance(x, fx.Proxy) else x * 1.001)
        return logits


def certificates(model: nn.Module, labels: Tensor) -> list[Tensor]:
    radii = torch.full((len(labels),), 0.01)
    return [certify(model, drawn(), labels, 2), margin_bounds(model, drawn(), labels, radii, 2)]


def test_a_softmax_at_the_end_is_compared_without_it() -> None:
    labels = predict(small(), drawn())
    plain = certificates(small(), labels)
    assert bool((plain[0] > 0).any())
    with pytest.warns(OutputsWarning, match="softmax at its end is left out"):
        recognised = certificates(with_softmax(small()), labels)
    declared = certificates(as_logits(with_softmax(small())), labels)
    assert all(map(torch.equal, declared, plain))
    # The softmax's own rounding counts: where classes tie after it, the first one wins.
    for own, before in zip(recognised, plain, strict=True):
        assert bool((own <= before).all())
        torch.testing.assert_close(own, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("voter", ["mean-logits", "mean-softmax", "majority"])
def test_a_vote_of_logits_and_probabilities_is_certified_as_one_of_logits(voter: str) -> None:
    plain = Program([small(), small()], voter)
    mixed = Program([as_logits(with_softmax(small())), small()], voter)
    labels = plain.vote(drawn()).labels
    radii = certify_program(plain, drawn(), labels, 2)
    assert bool((radii > 0).any())
    assert torch.equal(certify_program(mixed, drawn(), labels, 2), radii)


def test_a_softmax_that_is_declared_to_give_logits_is_refused() -> None:
    assert_refused(as_logits(with_softmax(small()), "logits"), r"probabilities.*as_logits\(model\)")


def test_what_differs_from_its_trace_is_found_before_a_softmax_too() -> None:
    assert_refused(as_logits(with_softmax(OnlyIfTraced())), "does not compute what was traced")


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_certificates_and_refusals_are_the_same_in_every_mode(
    mode: Callable[[], AbstractContextManager[None]],
) -> None:
    model, other = small(), OnlyIfTraced()
    labels = predict(model, drawn())
    expected = certificates(model, labels)
    with mode():
        assert all(map(torch.equal, certificates(model, labels.clone()), expected))
        assert_refused(other, "does not compute what was traced")
