"""How images are dealt out to a model, so that an image's result does not depend on the others.

Matrix libraries choose their order of summation by the shape of the whole batch and by where a row
lies in memory, so the same image gives other last bits alone than in a batch, or third rather than
second in it. Seen on the processors tried (MKL and oneDNN through PyTorch, float32):

- Up to three rows, and rows left over from blocks of four, are summed in another order.
- A dense layer with up to a dozen outputs sums each row from its first aligned address on. If the
  number of inputs is no multiple of 16 bytes, the rows of a batch are aligned differently.
- 1x1 convolutions take another way for up to fifteen images than for more.
- Some elementwise functions (:data:`UNEVEN`) round some values differently in the last few places
  of a tensor, or of a thread's share, which do not fill a vector register.

None of this is documented or to be relied on, so a model is tried (:func:`layout_of`): the ways to
deal out images (:class:`Layout`) are tested in turn, the cheapest first, on random images in
different compositions, logits and gradients, until one gives every image the same bits in all. The
last one, image by image, holds by construction, and is what a model gets whose outputs mix the
images of a batch. Where a narrow layer has few values to round, or an elementwise function rounds
few of them differently, trying can miss it. So what is known of the functions that a model calls
counts as well: dense layers of such numbers of inputs are always evaluated with zeros filled in,
1x1 convolutions get sixteen images or more, and where such elementwise functions are called blocks
leave no register unfilled. Two calls with the same images are taken to give the same bits; a model
with which they do not, because it draws random numbers, is dealt out in the cheapest way.

What is found for a model of plain torch layers is kept for the process, by all that decides on it:
the layers and their order, that nothing but these acts on the images (:mod:`nversion.hooks`), the
images' shape, and how torch computes (:func:`_structure`). So the table only saves time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nversion.hooks import additions, own_class
from nversion.randomness import generator

__all__ = ["BATCH_SIZE", "LAYOUTS", "Layout", "device_of", "dtype_of", "layout_of"]

BATCH_SIZE = 64
"""How many images a model is given at once, at the most."""

ALIGNMENT = 16
"""Rows of a dense layer's inputs are filled up to a multiple of so many bytes."""

CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})

POINTWISE = 16
"""1x1 convolutions are given at least so many images."""

PROBES = 16
"""Images that a model is tried on, or a block if that is more."""

REGISTERS = 32
"""Blocks of a multiple of this leave no vector register of an elementwise function unfilled."""

ELSEWHERE = (5, 10, 3, 12)
"""Four of them for a block of their own, each in another place than in the whole, modulo four."""

UNEVEN = frozenset(
    {"celu", "elu", "exp2", "gelu", "mish", "pow", "selu", "sigmoid", "silu", "softplus"}
)
"""Functions that in 2,000 random values gave other bits in a tensor's last places for some."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """A way to deal out images.

    Attributes:
        block: a model is given a multiple of this many images; short batches repeat the last one.
        single: whether it is given one block at a time.
        aligned: whether dense layers are evaluated with their inputs filled up with zeros to a
            multiple of 16 bytes.
    """

    block: int
    single: bool = False
    aligned: bool = False

    def chunks(self, count: int, size: int = BATCH_SIZE) -> Iterator[tuple[Tensor, int]]:
        """Yield (row indices, how many of them count) for batches of about `size` at the most.

        Both `size` and each batch are rounded up to a multiple of the block; the indices past the
        ones that count repeat the last row.
        """
        size = self.block if self.single else size + -size % self.block
        for start in range(0, count, size):
            rows = torch.arange(start, min(start + size, count))
            wanted = len(rows)
            if wanted % self.block:
                rows = torch.cat([rows, rows[-1:].expand(-wanted % self.block)])
            yield rows, wanted

    def call(self, model: nn.Module, images: Tensor) -> Any:
        """Return what the model makes of one batch."""
        with _AlignedInputs() if self.aligned else contextlib.nullcontext():
            return model(images)


LAYOUTS = (Layout(4), Layout(16), Layout(32), Layout(1, single=True))
"""From the cheapest to the one that always holds."""

_FOUND: dict[object, Layout] = {}
"""Layouts of models made of plain layers alone. Safe to share: the key holds all that decides."""


class _Calls(TorchFunctionMode):
    """Within it, what matters of the functions that are called is put down.

    Attributes:
        block: the smallest block that the functions called allow.
        misaligned: whether a dense layer's inputs do not fill whole units of alignment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block, self.misaligned = LAYOUTS[0].block, False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        if name in UNEVEN:
            self.block = max(self.block, REGISTERS)
        if name in CONVOLUTIONS and max(args[1].shape[2:]) == 1:
            self.block = max(self.block, POINTWISE)
        self.misaligned |= func is functional.linear and _spare_inputs(args[0]) > 0
        return func(*args, **(kwargs or {}))


class _AlignedInputs(TorchFunctionMode):
    """Within it, dense layers take their inputs, and weights, filled up with zeros."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.linear and (spare := _spare_inputs(args[0])):
            inputs, weight, *bias = args
            args = (functional.pad(inputs, (0, spare)), functional.pad(weight, (0, spare)), *bias)
        return func(*args, **(kwargs or {}))


def _spare_inputs(inputs: Tensor) -> int:
    """Return how many inputs a dense layer's rows lack to fill whole units of alignment."""
    return -inputs.shape[-1] % max(ALIGNMENT // inputs.element_size(), 4)


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the floating dtype that a model computes in: its first parameter's or buffer's."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32


def device_of(model: nn.Module) -> torch.device:
    """Return the device that a model lives on: its first parameter's or buffer's."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def layout_of(model: nn.Module, shape: torch.Size) -> Layout:
    """Return the cheapest layout in which the model's results do not depend on the batch.

    The model is tried in the mode it is in; in training mode, where results may depend on the
    batch by design, the cheapest layout is returned. What was found for a model of plain torch
    layers is kept for others of the same structure.

    Args:
        model: maps [count, *shape] to logits [count, classes].
        shape: (channels, height, width) of the images.
    """
    if model.training:
        return LAYOUTS[0]
    structure = _structure(model, shape)
    if structure in _FOUND:
        return _FOUND[structure]
    with torch.random.fork_rng(devices=[]):
        layout, telling = _first_that_holds(model, shape)
    if structure is not None and telling:
        _FOUND[structure] = layout
    return layout


def _structure(model: nn.Module, shape: torch.Size) -> object:
    """Return what decides on a model's layout, if torch's own layers are all there is; else None.

    A layer's weights do not matter, so neither do those that are parametrised by torch's layers,
    and a model's layers are told by how they are printed.
    """
    plain = all(own_class(module).__module__.startswith("torch.nn.") for module in model.modules())
    if not plain or next(additions(model), None) is not None:
        return None
    device = device_of(model)
    if torch.is_autocast_enabled(device.type):
        return None
    kernels = (
        torch.get_num_threads(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
        torch.get_float32_matmul_precision(),
    )
    return str(model), shape, dtype_of(model), device, kernels


def _first_that_holds(model: nn.Module, shape: torch.Size) -> tuple[Layout, bool]:
    """Return the cheapest layout that holds, and whether trying told anything of it.

    Where images get logits that do not differ, or are not finite, any layout would hold.
    """
    draws = generator("batches", str(tuple(shape)))
    images = torch.rand(max(layout.block for layout in LAYOUTS), *shape, generator=draws)
    with _Calls() as calls:
        first = _answers(model, images[:4], LAYOUTS[0])
    if first is None:
        return LAYOUTS[0], False
    telling = bool(first.isfinite().all() & (first[0] != first[1]).any())
    several = torch.get_num_threads() > 1
    for layout in LAYOUTS[:-1]:
        if layout.block < calls.block or (calls.block == REGISTERS and several):
            continue
        layout = dataclasses.replace(layout, aligned=calls.misaligned)
        count = max(PROBES, layout.block)
        turned = torch.arange(count).roll(1)
        # Not each image as often as any other, which would leave a batch's mean what it was.
        other = torch.tensor(ELSEWHERE) if layout.block == 4 else torch.cat([turned, turned // 2])
        whole = _answers(model, images[:count], layout)
        part = _answers(model, images[other], layout)
        if whole is not None and part is not None and _same(part, whole[other]):
            return layout, telling
    again = [_answers(model, images[:4], LAYOUTS[0]) for _ in range(2)]
    same = again[0] is not None and again[1] is not None and _same(again[0], again[1])
    return (LAYOUTS[-1] if same else LAYOUTS[0]), telling


def _same(first: Tensor, second: Tensor) -> bool:
    """Return whether two answers are the same bits, NaN included."""
    return torch.equal(first.view(torch.int32), second.view(torch.int32))


def _answers(model: nn.Module, images: Tensor, layout: Layout) -> Tensor | None:
    """Return logits and a gradient, float32 [count, ...]; None if the output is no logits."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = images.to(device=device_of(model), dtype=dtype_of(model), copy=True)
        leaf.requires_grad_(True)
        logits = layout.call(model, leaf)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
            return None
        answers = [logits.detach().float()]
        if logits.requires_grad:
            # A weighted sum, as a plain one is constant where the outputs are probabilities.
            weights = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
            total = (logits.nan_to_num(0.0, 0.0, 0.0) * weights.square()).sum()
            (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True)
            if gradient is not None:
                answers.append(gradient.flatten(1).float())
    return torch.cat(answers, dim=1)
