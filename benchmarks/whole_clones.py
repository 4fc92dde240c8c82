"""MORA's and ARC's own code on a vote, from clones whose folders the user names (see whole.py).

Run in an environment of its own. Both attack within a fixed radius, so each image's radius is
bisected; images with the same radius are attacked together. Nothing of their code is changed:

- MORA (Yu, Gao and Xu, NeurIPS 2022): its ensembles "softmax", "logits" and "voting" for
  mean-softmax, mean-logits and counted votes, the five mixtures of losses of its "standard-pre" one
  after another, and for each vote the `float_dis` of its own evaluation script; iterations as for
  the other peers' bisections. Its loop over the mixtures is not called, as it breaks off where a
  single image is left; what is called is the attack that it calls.
- ARC (Dbouk and Shanbhag, ICML 2022) is for ensembles that draw a member at random. Here every
  member has the same probability; what it returns lowers how many of them are right, and is judged
  by the vote. Its 20 iterations, its step sizes (the radius in Linf, a quarter of it in L2) and the
  variant that looks at the two largest logits. It asks for a GPU by `Tensor.cuda`, which returns
  the tensor itself here, and for a name that NumPy 2 has dropped.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks_exchange import Run

__all__ = ["RADII", "Within", "arc_runs", "bisected", "mora_runs", "verdict_lost"]

RADII = {"l2": 4.0, "linf": 0.5}
"""Where bisections begin: no image of these needs as much."""

BISECTIONS = 8

MIXTURES = (0.5, 0.0, 0.25, 0.75, 1.0)
"""Of MORA's two losses, in its order."""

Within = Callable[[Tensor, Tensor, float], Tensor]
"""Images, labels and a radius -> images within it."""

PATTERNS = {"mean-softmax": ("softmax", 0.2), "mean-logits": ("logits", 0.0)}
"""MORA's ensemble and `float_dis` for a voter; counted votes have "voting" and 0.8."""


def verdict_lost(members: list[nn.Module], voter: str, images: Tensor, labels: Tensor) -> Tensor:
    """Return where the vote does not name the label, bool [count]."""
    with torch.no_grad():
        logits = torch.stack([model(images) for model in members])
    if voter == "mean-softmax":
        return logits.log_softmax(dim=2).logsumexp(dim=0).argmax(dim=1) != labels
    if voter == "mean-logits":
        return logits.log_softmax(dim=2).mean(dim=0).argmax(dim=1) != labels
    votes = nn.functional.one_hot(logits.argmax(dim=2), logits.shape[2]).sum(dim=0)
    own = votes.gather(1, labels[:, None]).squeeze(1)
    if voter == "majority":
        return own * 2 <= len(members)
    others = votes.scatter(1, labels[:, None], -1).amax(dim=1)
    return own <= others


def bisected(members: list[nn.Module], voter: str, norm: str, within: Within) -> Run:
    """Return an attack that looks for each image's least radius; NaN where none succeeds."""

    def run(_: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        low = torch.zeros(len(images))
        high = torch.full((len(images),), RADII[norm])
        best = torch.full_like(images, torch.nan)
        for turn in range(BISECTIONS + 1):
            radii = high.clone() if turn == 0 else (low + high) / 2
            won = torch.zeros(len(images), dtype=torch.bool)
            for radius in sorted(set(radii.tolist())):
                rows = (radii == radius).nonzero().squeeze(1)
                found = within(images[rows], labels[rows], radius).detach().clamp(0, 1)
                lost = verdict_lost(members, voter, found, labels[rows])
                best[rows[lost]] = found[lost]
                won[rows[lost]] = True
            high = torch.where(won, radii, high)
            low = torch.where(won, low, radii)
        return best

    return run


def mora_runs(
    folder: Path, members: list[nn.Module], voter: str, norm: str, steps: int
) -> dict[str, Run]:
    """Return MORA, from the clone in a folder."""
    sys.path.insert(0, str(folder))
    pattern, distance = PATTERNS.get(voter, ("voting", 0.8))
    ensemble = importlib.import_module(f"models.ensemble_{pattern}").Ensemble(members)
    ensemble.device = "cpu"
    mora: Any = importlib.import_module("mora_attack").MORAAttack

    def within(images: Tensor, labels: Tensor, radius: float) -> Tensor:
        attack = mora(
            ensemble,
            n_iter=max(steps // 8, 20),
            norm="L2" if norm == "l2" else "Linf",
            eps=radius,
            device="cpu",
            decay_step="cosine",
            float_dis=distance,
            version="standard-pre",
            ensemble_pattern=pattern,
        )
        found = images.clone()
        rows = torch.arange(len(images))
        with torch.no_grad():
            for mixture in MIXTURES:
                _, tried, _ = attack.perturb(images[rows], labels[rows], scale=mixture)
                lost = verdict_lost(members, voter, tried, labels[rows])
                found[rows[lost]] = tried[lost]
                rows = rows[~lost]
                if len(rows) == 0:
                    break
        return found

    return {"mora": bisected(members, voter, norm, within)}


def arc_runs(folder: Path, members: list[nn.Module], voter: str, norm: str) -> dict[str, Run]:
    """Return ARC, from the clone in a folder."""
    sys.path.insert(0, str(folder))
    vars(np)["infty"] = math.inf
    setattr(torch.Tensor, "cuda", lambda self, *_, **__: self)  # noqa: B010
    attack: Any = importlib.import_module("attack").attack_arc
    shares = np.full(len(members), 1.0 / len(members))

    def within(images: Tensor, labels: Tensor, radius: float) -> Tensor:
        torch.manual_seed(0)
        moved = attack(
            members,
            images,
            labels,
            radius,
            shares,
            20,
            radius / 4 if norm == "l2" else radius,
            "l_2" if norm == "l2" else "l_inf",
            10,
            g=1,
            normalize=lambda one: one,
        )
        return images + torch.as_tensor(moved)

    return {"arc": bisected(members, voter, norm, within)}
