"""What the methods of an attack on a vote share: the nearest points so far, and who found them."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, sums
from nversion.attacks.criteria import margins
from nversion.attacks.linearised import LARGEST, Slope
from nversion.attacks.nearest import Nearest
from nversion.attacks.votes.members import Members

__all__ = ["Search"]

PUSHES = (1.02, 1.05, 1.1, 1.2, 1.4, 1.8, 2.6, 4.0)
"""How far on, relative to its length, a perturbation is tried that does not make the vote fall."""

BISECTIONS = 11

FAINT = 0.3
"""How near to the boundary a push begins, as a share of the way."""


class Search:
    """The nearest points at which a vote falls, image by image, and the methods that found them.

    Every point that any method evaluates counts, for both ways to fall.

    Args:
        members: of the vote.
        originals: float32 [count, ...], on which the vote is right.
        labels: int64 [count].
        norm: "l2" or "linf".

    Attributes:
        lost: the nearest points without the right verdict.
        wrong: those with a wrong one; the same object where the vote never abstains.
        methods: the methods by number.
    """

    def __init__(self, members: Members, originals: Tensor, labels: Tensor, norm: str) -> None:
        self.members, self.originals, self.labels, self.norm = members, originals, labels, norm
        self.lost = Nearest(originals)
        self.wrong = Nearest(originals) if members.rule.abstains else self.lost
        self.methods: list[str] = []
        unknown = torch.full_like(labels, -1)
        self._by = {id(self.lost): unknown, id(self.wrong): unknown.clone()}

    def nearest(self, verdict: bool) -> Nearest:
        """Return the nearest points of one way to fall: to a wrong `verdict`, or to any."""
        return self.wrong if verdict else self.lost

    def found_by(self, verdict: bool) -> list[str]:
        """Return the name of the method that found each image's point; "" where none did."""
        numbers = self._by[id(self.nearest(verdict))].tolist()
        return ["" if number < 0 else self.methods[number] for number in numbers]

    def begin(self, method: str) -> None:
        """Let points count for `method` from now on."""
        self.methods.append(method)

    def distances(self, verdict: bool) -> Tensor:
        """Return the distances of the nearest points, float32 [count]; infinite: none yet."""
        return self.nearest(verdict).squares.sqrt()

    def squared(self, changes: Tensor) -> Tensor:
        """Return squared sizes of changes, float32 [some]."""
        if self.norm == "l2":
            return sums(changes.square())
        return norms(changes, "linf").square()

    def see(self, rows: Tensor, points: Tensor, logits: Tensor, verdict: bool) -> Tensor:
        """Take note of evaluated points; return where the vote falls the way asked for.

        Args:
            rows: int64 [some], whose images the points are.
            points: float32 [some, ...] in [0, 1].
            logits: of the members, float32 [some, members, classes].
            verdict: which way.
        """
        squares = self.squared(points - self.originals[rows])
        labels = self.labels[rows]
        fallen = self.members.lost(logits, labels, verdict=verdict)
        self._keep(self.nearest(verdict), rows, points, fallen, squares)
        if self.wrong is not self.lost:
            other = self.members.lost(logits, labels, verdict=not verdict)
            self._keep(self.nearest(not verdict), rows, points, other, squares)
        return fallen

    def _keep(
        self, nearest: Nearest, rows: Tensor, points: Tensor, held: Tensor, squares: Tensor
    ) -> None:
        # Several points may be one image's: the nearest of them must be the last to be written.
        order = squares.argsort(descending=True, stable=True)
        rows, points, held, squares = rows[order], points[order], held[order], squares[order]
        before = nearest.squares.clone()
        for part in _without_repeats(rows):
            nearest.keep(rows[part], points[part], held[part], squares[part])
        self._by[id(nearest)][nearest.squares < before] = len(self.methods) - 1

    def try_lines(self, rows: Tensor, points: Tensor, verdict: bool) -> None:
        """Look for the least point where the vote falls on the lines through given points.

        Args:
            rows: int64 [some].
            points: float32 [some, ...], where a surrogate of the vote fell.
            verdict: which way the vote is to fall.
        """
        originals = self.originals[rows]
        changes = points - originals
        moving = changes.flatten(1).ne(0).any(dim=1)
        rows, originals, changes = rows[moving], originals[moving], changes[moving]
        low = torch.zeros(len(rows), device=rows.device)
        high = torch.full_like(low, torch.inf)
        waiting = torch.arange(len(rows), device=rows.device)

        def look(part: Tensor, length: Tensor) -> Tensor:
            moved = (originals[part] + columns(length) * changes[part]).clamp(0.0, 1.0)
            return self.see(rows[part], moved, self.members.logits(moved), verdict)

        for push in (1.0, *PUSHES):
            if len(waiting) == 0:
                break
            fell = look(waiting, torch.full_like(low[waiting], push))
            high[waiting[fell]] = push
            waiting = waiting[~fell]
            low[waiting] = push
        low = torch.where(low == 0.0, FAINT, low)
        part = high.isfinite().nonzero().squeeze(1)
        for _ in range(BISECTIONS if len(part) else 0):
            middle = (low[part] + high[part]) / 2
            fell = look(part, middle)
            high[part] = torch.where(fell, middle, high[part])
            low[part] = torch.where(fell, low[part], middle)

    def slope(self) -> Slope:
        """Return the slope of the vote's margin, for `linearised.finish`."""

        def slope(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            labels = self.labels[rows]
            logits, gradients = self.members.gradient(
                points, lambda z, k: _margin(self.members, z, labels[k])
            )
            lacks = -self.members.excess(logits, labels)
            self.see(rows, points, logits, verdict=False)
            return lacks.nan_to_num(LARGEST, LARGEST, LARGEST), gradients

        return slope


def _margin(members: Members, logits: Tensor, labels: Tensor) -> Tensor:
    return margins(members.combined(logits), labels)


def _without_repeats(rows: Tensor) -> list[Tensor]:
    """Return parts of positions, in order, in none of which a row comes twice."""
    seen: dict[int, int] = {}
    parts: list[list[int]] = []
    for place, row in enumerate(rows.tolist()):
        turn = seen.get(row, 0)
        seen[row] = turn + 1
        if turn == len(parts):
            parts.append([])
        parts[turn].append(place)
    return [torch.tensor(part, device=rows.device) for part in parts]
