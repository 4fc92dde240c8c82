"""The attacked model as an attack sees it: logits, gradients, and a count of how many were asked.

All answers are the same bits for an image whatever else is in the batch (see
:mod:`nversion.batches`), so an attack whose own arithmetic treats each row by itself gives the same
result for an image in every batch.

A model that has no gradient (its output does not depend on its input, or it decides by a hard
vote) has the gradient zero here, and so have entries that are not finite: an attack that needs
gradients then finds nothing to go by, and fails without harm.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from nversion.batches import BATCH_SIZE, LAYOUTS, Layout, device_of, dtype_of, layout_of
from nversion.outputs import asked, check_outputs

__all__ = ["Objective", "Oracle", "against"]

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits float32 [rows, classes] and the rows' indices int64 [rows] -> one value per row."""


@dataclasses.dataclass
class _Count:
    """How much was asked of a model, by all oracles that stand for it."""

    forwards: int = 0
    backwards: int = 0


class Oracle:
    """Answers an attack's questions about one model, which must be frozen already.

    Attributes:
        dtype: the floating dtype that the model computes in.
        device: where the model lives; the attack's tensors are there too.
        forwards: images that went forward through the model so far, those aside that its layout
            was tried on.
        backwards: images whose gradient was taken so far (one for each function of them).
    """

    def __init__(self, model: nn.Module, batch_size: int = BATCH_SIZE) -> None:
        self._model = model
        self._batch_size = batch_size
        self._layout: Layout | None = None
        self.dtype = dtype_of(model)
        self.device = device_of(model)
        self._target: int | None = None
        self._count = _Count()

    @property
    def forwards(self) -> int:
        """Images that went forward through the model so far (see the class's docstring)."""
        return self._count.forwards

    @property
    def backwards(self) -> int:
        """Gradients that were taken of the model so far (see the class's docstring)."""
        return self._count.backwards

    def aimed(self, target: int) -> Oracle:
        """Return an oracle of the same model and counts that gives two logits, [count, 2].

        The first is the largest of all classes but `target`, the second that of `target`.
        """
        aimed = copy.copy(self)
        aimed._target = target
        return aimed

    def _chunks(self, images: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Yield (row indices, how many of them count) for each batch the model is to be given."""
        if self._layout is None:
            with asked("the model", tuple(images.shape[1:])):
                self._layout = layout_of(self._model, images.shape[1:])
        return self._layout.chunks(len(images), self._batch_size)

    def _call(self, images: Tensor) -> Tensor:
        images = images.to(device=self.device, dtype=self.dtype)
        with asked("the model", tuple(images.shape[1:])):
            call = self._layout.call if self._layout else LAYOUTS[0].call
            outputs = call(self._model, images)
        logits = check_outputs(outputs, len(images)).float()
        return logits if self._target is None else against(logits, self._target)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits float32 [count, classes] of images [count, ...]; no gradient."""
        self._count.forwards += images.shape[0]
        with torch.no_grad():
            pieces = [
                self._call(images[rows])[:wanted].to(images.device)
                for rows, wanted in self._chunks(images)
            ]
        return _joined(pieces)

    def graph(self, images: Tensor) -> Tensor:
        """Return logits float32 [count, classes] that can be differentiated by the images.

        For attacks from elsewhere, which take their gradients themselves; these are not counted.
        Where the model has no gradient at all, it is zero.
        """
        self._count.forwards += images.shape[0]
        pieces = [self._call(images[rows])[:wanted] for rows, wanted in self._chunks(images)]
        logits = torch.cat(pieces).to(images.device)
        if images.requires_grad and not logits.requires_grad:
            logits = logits + 0.0 * images.sum()
        return logits

    def gradient(self, images: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
        """Return logits [count, classes] and d objective / d image [count, ...], both float32.

        The objective must treat each row by itself. It receives the indices of its rows in
        `images`, to pick labels, targets or constants by; small batches repeat the last row.
        """
        self._count.forwards += images.shape[0]
        self._count.backwards += images.shape[0]
        all_logits, gradients = [], []
        for rows, wanted in self._chunks(images):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = images[rows].detach().requires_grad_(True)
                logits = self._call(leaf)
                total = objective(logits, rows.to(logits.device)).sum()
                gradient = _derivative(total, leaf, keep=False)
            all_logits.append(logits[:wanted].detach().to(images.device))
            gradients.append(gradient[:wanted])
        return _joined(all_logits), _joined(gradients)

    def jacobian(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and the gradients of the chosen logits, one forward pass for all of them.

        Args:
            images: [count, channels, height, width].
            classes: int64 [count, chosen], the logits wanted per image.

        Returns:
            Logits [count, classes] and gradients [count, chosen, channels, height, width].
        """
        self._count.forwards += images.shape[0]
        self._count.backwards += images.shape[0] * classes.shape[1]
        all_logits, jacobians = [], []
        for rows, wanted in self._chunks(images):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = images[rows].detach().requires_grad_(True)
                logits = self._call(leaf)
                picked = logits.gather(1, classes[rows].to(logits.device))
                columns = [
                    _derivative(picked[:, k].sum(), leaf, keep=k + 1 < classes.shape[1])[:wanted]
                    for k in range(classes.shape[1])
                ]
            all_logits.append(logits[:wanted].detach().to(images.device))
            jacobians.append(torch.stack(columns, dim=1))
        return _joined(all_logits), _joined(jacobians)

    def slopes(self, images: Tensor, objectives: Objective) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, several functions of them, and the gradients of these by the images.

        One forward pass for all of them.

        Args:
            images: [count, channels, height, width].
            objectives: as for :meth:`gradient`, but several values per row, [rows, functions].

        Returns:
            Logits [count, classes], values [count, functions] and gradients
            [count, functions, channels, height, width], all float32.
        """
        self._count.forwards += images.shape[0]
        pieces: list[tuple[Tensor, Tensor, Tensor]] = []
        for rows, wanted in self._chunks(images):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = images[rows].detach().requires_grad_(True)
                logits = self._call(leaf)
                values = objectives(logits, rows.to(logits.device))
                last = values.shape[1] - 1
                gradients = torch.stack(
                    [
                        _derivative(values[:, k].sum(), leaf, keep=k < last)[:wanted]
                        for k in range(values.shape[1])
                    ],
                    dim=1,
                )
            self._count.backwards += wanted * values.shape[1]
            answers = logits[:wanted].detach().to(images.device)
            pieces.append((answers, values[:wanted].detach().to(images.device), gradients))
        first, second, third = (_joined(list(one)) for one in zip(*pieces, strict=True))
        return first, second, third


def against(logits: Tensor, target: int) -> Tensor:
    """Return the strongest of the others' logits and the target's, [count, 2]."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return torch.stack([others.amax(dim=1), logits[:, target]], dim=1)


def _joined(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _derivative(total: Tensor, leaf: Tensor, *, keep: bool) -> Tensor:
    """Return d total / d leaf, with zeros where there is none (see the module's docstring)."""
    if not total.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(total, leaf, retain_graph=keep, allow_unused=True)
    if gradient is None:
        return torch.zeros_like(leaf)
    return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
