"""Faults to plant into versions, for seeing what a vote makes of them.

Fault injection: Arlat, Aguera, Amat, Crouzet, Fabre, Laprie, Martins and Powell, "Fault injection
for dependability validation: a methodology and some applications", IEEE Transactions on Software
Engineering 16(2), 1990. Flipped bits of weights: Reagen et al., "Ares: a framework for quantifying
the resilience of deep neural networks", DAC 2018.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from typing import final

import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.program.isolation import ISOLATED
from nversion.randomness import generator

__all__ = ["INJECTIONS", "PROCESS_KINDS", "Faulty", "flip_bits", "inject"]

PROCESS_KINDS = ("crash", "hang")
"""Only for versions with a process of their own; elsewhere they raise."""

INJECTIONS = (
    *("raise", "nan", "infinite", "shape", "constant", "stuck", "bit-flips"),
    *PROCESS_KINDS,
)


def inject(
    model: nn.Module,
    kind: str,
    *,
    seed: int = 0,
    flips: int = 10,
    stuck: Tensor | None = None,
) -> nn.Module:
    """Return a version with a fault; the one that is given stays as it is.

    Args:
        model: the version, of logits [count, classes].
        kind: "raise" an error; give "nan", "infinite" logits or another "shape"; name a "constant"
            class; see a "stuck" image always; "bit-flips" in the weights; "crash" or "hang" the
            process.
        seed: of the constant class and of the bits.
        flips: how many bits.
        stuck: the image that is seen always, [channels, height, width]; black by default.

    Raises:
        InputError: there is no such kind, or no weights whose bits could be flipped.
    """
    if kind not in INJECTIONS:
        raise InputError(
            f"no fault is called {kind!r}{did_you_mean(str(kind), INJECTIONS)}; there are: "
            f"{', '.join(INJECTIONS)}"
        )
    if kind == "bit-flips":
        return flip_bits(model, flips, seed)
    return Faulty(model, kind, seed, stuck)


@final
class Faulty(nn.Module):
    """A version with one of the faults that need no change of its weights."""

    def __init__(self, model: nn.Module, kind: str, seed: int, stuck: Tensor | None) -> None:
        super().__init__()
        self.model, self.kind, self.seed = model, kind, seed
        self.stuck: Tensor | None
        self.register_buffer("stuck", stuck, persistent=False)
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return what the version gives, with its fault."""
        if self.kind in PROCESS_KINDS:
            _take_down(self.kind)
        if self.kind == "raise":
            raise RuntimeError("an injected fault")
        if self.kind == "stuck":
            seen = torch.zeros_like(images[:1]) if self.stuck is None else self.stuck[None]
            images = seen.to(images).expand_as(images)
        logits: Tensor = self.model(images)
        if self.kind == "nan":
            return logits * torch.nan
        if self.kind == "infinite":
            return logits + torch.inf
        if self.kind == "shape":
            return logits[:, 1:]
        if self.kind == "constant":
            return logits * 0.0 + 10.0 * self._named(logits)
        return logits

    def _named(self, logits: Tensor) -> Tensor:
        draws = generator("constant", self.seed)
        place = torch.randint(logits.shape[1], (1,), generator=draws)
        return nn.functional.one_hot(place, logits.shape[1]).to(logits)


def _take_down(kind: str) -> None:
    """Crash or hang, in a process that is there for nothing else.

    Raises:
        RuntimeError: it is not.
    """
    if ISOLATED not in os.environ:
        raise RuntimeError(f"a {kind} would take the whole program down; isolate its versions")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while True:
        time.sleep(1.0)


def flip_bits(model: nn.Module, flips: int, seed: int = 0) -> nn.Module:
    """Return a copy of a network with so many different bits of its weights flipped.

    Args:
        model: with weights in float32, float16 or bfloat16.
        flips: how many bits.
        seed: of which.

    Raises:
        InputError: the network has fewer bits than that.
    """
    copied = copy.deepcopy(model)
    weights = [one for one in copied.parameters() if one.dtype in WORDS]
    sizes = torch.tensor([one.numel() * one.element_size() * 8 for one in weights] or [0])
    total = int(sizes.sum())
    if not isinstance(flips, int) or not 1 <= flips <= total:
        raise InputError(f"flips must be a number of bits, 1 to {total:,} here, not {flips!r}")
    draws = generator("bit-flips", seed)
    chosen: set[int] = set()
    while len(chosen) < flips:
        chosen.add(int(torch.randint(total, (1,), generator=draws)))
    ends = sizes.cumsum(0)
    for bit in sorted(chosen):
        place = int(torch.searchsorted(ends, bit, right=True))
        _flip(weights[place], bit - int(ends[place] - sizes[place]))
    return copied


WORDS = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
"""Whole numbers of the same bits."""


def _flip(weights: nn.Parameter, bit: int) -> None:
    width = weights.element_size() * 8
    with torch.no_grad():
        flat = weights.detach().contiguous().flatten().clone()
        words = flat.view(WORDS[weights.dtype])
        mask = 1 << (bit % width)
        if mask == 1 << (width - 1):
            mask = -mask
        words[bit // width] ^= mask
        weights.copy_(flat.view_as(weights))
