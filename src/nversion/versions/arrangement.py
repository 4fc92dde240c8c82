"""The same network, arranged so that a training step takes less time.

Three things cost a convolutional network more than they need to on a processor, and can be had
otherwise without changing what is learnt (a graphics card takes channels-last order well too):

* Flattening an image that lies channels-last in memory into channels-first order moves every value,
  forward and backward, and makes the backward pass of a pooling layer slow. Instead the values are
  taken as they lie, and the columns of the first dense layer are put into that order while it
  trains, and back afterwards.
* Dropout draws one random number per value. Instead four 16-bit numbers are cut from each 64-bit
  one; a rate is met to within 2^-16.
* A rectifier before max-pooling works on all values. The maximum of rectified values is the
  rectified maximum, with the same gradient, so it is applied after the pooling, to a quarter of
  them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nversion.models import device_of

__all__ = ["arranged"]

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Dropout, nn.Identity)


@contextlib.contextmanager
def arranged(
    model: nn.Sequential, shape: Sequence[int], draws: torch.Generator
) -> Iterator[nn.Module]:
    """Lend a twin of `model` that shares its parameters, for training; then restore their order.

    While it is lent, filters lie channels-last and the first dense layer's columns are permuted,
    so that `model` itself must not be used.

    Args:
        model: a plain sequence of layers.
        shape: (channels, height, width) of the images.
        draws: what dropout draws from, on the model's device.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model):
        yield nn.Sequential(*(_quick(module, draws) for module in model))
        return
    dense, order = _columns(model, shape)
    _lay_out(model, torch.channels_last)
    if dense is not None:
        dense.weight.data = dense.weight.data[:, order]
    try:
        yield nn.Sequential(
            _ChannelsLast(), *_modules(model, draws, channels_last=dense is not None)
        )
    finally:
        if dense is not None:
            restored = torch.empty_like(dense.weight.data)
            restored[:, order] = dense.weight.data
            dense.weight.data = restored
        _lay_out(model, torch.contiguous_format)


def _modules(model: nn.Sequential, draws: torch.Generator, channels_last: bool) -> list[nn.Module]:
    modules = list(model)
    for index in range(len(modules) - 1):
        if isinstance(modules[index], nn.ReLU) and isinstance(modules[index + 1], nn.MaxPool2d):
            modules[index], modules[index + 1] = modules[index + 1], modules[index]
    quick = []
    for module in modules:
        flatten = channels_last and isinstance(module, nn.Flatten)
        quick.append(_FlattenAsItLies() if flatten else _quick(module, draws))
    return quick


def _quick(module: nn.Module, draws: torch.Generator) -> nn.Module:
    return _Dropout(module.p, draws) if isinstance(module, nn.Dropout) else module


def _columns(model: nn.Sequential, shape: Sequence[int]) -> tuple[nn.Linear | None, Tensor]:
    """Return the dense layer that reads the flattened image, and the columns in memory's order.

    None where there is no such layer, or something between that is not value by value.
    """
    modules = list(model)
    where = next((i for i, module in enumerate(modules) if isinstance(module, nn.Flatten)), None)
    nothing = (None, torch.zeros(0, dtype=torch.int64))
    if where is None:
        return nothing
    after = next((m for m in modules[where + 1 :] if not isinstance(m, ELEMENTWISE)), None)
    if not isinstance(after, nn.Linear):
        return nothing
    modes = [module.training for module in modules]
    model.eval()
    with torch.no_grad():
        image = torch.zeros(1, *shape, device=device_of(model))
        flat = nn.Sequential(*modules[:where])(image)
    for module, mode in zip(modules, modes, strict=True):
        module.train(mode)
    model.training = modes[0]
    order = (
        torch.arange(flat.numel(), device=flat.device)
        .view(flat.shape[1:])
        .permute(1, 2, 0)
        .flatten()
    )
    return after, order


def _lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


class _ChannelsLast(nn.Module):
    """Puts images into channels-last order, and says so where there is only one channel.

    With one channel both orders are the same in memory; the strides alone tell PyTorch which of
    them the layers after it shall use.
    """

    moves = True

    def forward(self, images: Tensor) -> Tensor:
        _, channels, height, width = images.shape
        if channels > 1:
            return images.contiguous(memory_format=torch.channels_last)
        return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


class _FlattenAsItLies(nn.Module):
    """Flattens [count, channels, height, width] in channels-last order."""

    moves = True

    def forward(self, values: Tensor) -> Tensor:
        return values.permute(0, 2, 3, 1).flatten(1)


class _Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) from 16 random bits a value, while the network trains."""

    drops = True

    def __init__(self, rate: float, draws: torch.Generator) -> None:
        super().__init__()
        self.draws = draws
        self.dropped = min(round(rate * 2**16), 2**16 - 1)

    def forward(self, values: Tensor) -> Tensor:
        if self.dropped == 0 or not self.training:
            return values
        count = values.numel()
        # 64 random bits each, the sign bit included; the default range leaves it out.
        bits = torch.empty(-(-count // 4), dtype=torch.int64, device=values.device)
        bits.random_(-(2**63), None, generator=self.draws)
        kept = bits.view(torch.int16)[:count] >= self.dropped - 2**15
        scaled = kept.to(values.dtype).mul_(1 / (1 - self.dropped / 2**16))
        lying = (
            values
            if values.is_contiguous()
            else values.contiguous(
                memory_format=torch.channels_last if values.ndim == 4 else torch.contiguous_format
            )
        )
        return lying * scaled.as_strided(lying.shape, lying.stride())
