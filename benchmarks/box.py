"""How much farther valid images are than any images: proved, linearised and attacked.

    python benchmarks/box.py --data-dir PATH_OF_MNIST --weights FOLDER [--images N] [--out FILE]

The radius of the ball within the box of valid pixels divided by that of the plain ball, for the
networks and images of ``benchmarks/certification.py``, means over the images:

- certified: of two lower bounds, by ``nversion.certify``;
- linearised: of the exact distances to another class, where the network is replaced by its
  linearisation at the image;
- attacked: of two upper bounds, the shortest changes that the attack ``fab`` (in L2 also
  ``carlini-wagner``) finds; there is none in L1. For any image, the network is given its pixels
  from a wide range, [-2, 3], squeezed into [0, 1].

As bounds become tight from either side, the first and the last ratio come to that of the distances
themselves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nversion as nv
from certification import NETWORKS, NORMS, chosen, trained
from nversion.certification import certify
from nversion.certification.ball import Ball, Reach, largest_radius

WIDE = 2.0
"""How far pixels may go beyond either end of the box."""

FAR = 1e6
COLUMNS = ("certified", "linearised", "attacked")


class Widened(nn.Module):
    """A network whose inputs in [0, 1] stand for pixels in [-WIDE, 1 + WIDE]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.model(x * (1.0 + 2.0 * WIDE) - WIDE)
        return logits


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="What the box of valid images brings.")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = nv.load_dataset("mnist", root=options.data_dir)
    results: dict[str, Any] = {}
    print(f"| network | norm | {' | '.join(COLUMNS)} |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in options.networks.split(","):
        model = trained(name, data, options.weights)
        images, labels, _ = chosen(model, data, options.images)
        for norm in NORMS:
            found = {
                "certified": certified(model, images, labels, norm),
                "linearised": linearised(model, images, labels, norm),
            }
            if norm != "1":
                found["attacked"] = attacked(model, images, labels, norm, options.restarts)
            results[f"{name} {norm}"] = {
                way: {"plain": plain.tolist(), "box": box.tolist()}
                for way, (plain, box) in found.items()
            }
            ratios = [f"{float(box.mean() / plain.mean()):.2f}" for plain, box in found.values()]
            cells = " | ".join([*ratios, "-"][: len(COLUMNS)])
            print(f"| {name} | {norm} | {cells} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def certified(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Return certified radii in the plain ball and in the box, [count] each."""
    plain, box = (certify(model, images, labels, norm, box=box) for box in (None, (0.0, 1.0)))
    return plain, box


def linearised(
    model: nn.Module, images: Tensor, labels: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """Return the linearised network's exact distances to another class, [count] each."""
    leaf = images.clone().requires_grad_(True)
    logits = model(leaf)
    margins = logits.gather(1, labels[:, None]) - logits
    slopes = [torch.autograd.grad(m.sum(), leaf, retain_graph=True)[0] for m in margins.unbind(1)]
    rows = torch.stack(slopes, dim=1).flatten(2).to(torch.float64)
    constants = margins.detach().to(torch.float64).scatter(1, labels[:, None], FAR)
    pixels = images.flatten(1)[:, None].to(torch.float64)
    distances = []
    for box in (None, (0.0, 1.0)):
        ball = Ball(float(norm), box)
        reach: Reach = ball.reach(pixels)
        caps = reach.caps(rows)
        limit = torch.tensor(FAR, dtype=torch.float64)
        radii = largest_radius(rows.abs(), caps, constants, limit, ball.norm)
        distances.append(radii.amin(dim=1))
    return distances[0], distances[1]


def attacked(
    model: nn.Module, images: Tensor, labels: Tensor, norm: str, restarts: int
) -> tuple[Tensor, Tensor]:
    """Return the shortest changes found with any and with valid pixels, [count] each."""
    scale = 1.0 + 2.0 * WIDE
    plain = scale * shortest(Widened(model), (images + WIDE) / scale, labels, norm, restarts)
    box = shortest(model, images, labels, norm, restarts)
    # What is found in the box is found in the plain ball as well.
    return torch.minimum(plain, box), box


def shortest(model: nn.Module, images: Tensor, labels: Tensor, norm: str, restarts: int) -> Tensor:
    """Return the lengths of the shortest changes that attacks find, [count]."""
    key = f"l{norm}"
    attacks = [nv.attacks.create("fab", norm=key, restarts=restarts)]
    if norm == "2":
        attacks.append(nv.attacks.create("carlini-wagner"))
    results = [attack(model, images, labels, seed=0) for attack in attacks]
    found = torch.stack([getattr(result, key) for result in results])
    return found.amin(dim=0)


if __name__ == "__main__":
    main()
