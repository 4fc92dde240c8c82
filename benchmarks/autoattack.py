"""AutoAttack: robust accuracy and CPU seconds of `auto`, beside the authors' programs, in one run.

    git clone https://github.com/fra31/auto-attack PATH
    python benchmarks/autoattack.py --autoattack PATH --data-dir PATH_OF_MNIST [--out auto.json]

Four networks are trained on MNIST for the purpose: the study's student, a small convolutional and
a dense network, and the small one again with adversarial training (one step from a random start,
Wong, Rice & Kolter 2020), so that not all are easily broken. For each network and norm epsilon is
the distance within which a short run of FAB breaks two images in five, so that about half of them
are broken in the end; then both sides attack the same images at that epsilon with the standard
version, one thread. An image counts as broken if the network, evaluated on what came back,
misclassifies it, and it lies within epsilon (to 1e-6, since the authors' programs exceed it by
rounding). The goal is a robust accuracy that is at most one image in fifty above theirs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nversion as nv
from nversion.attacks.ball import norms
from nversion.files import read_tensors, write_tensors, write_text
from nversion.models import predict

NETWORKS = {
    "student": "conv 32 relu\nconv 64 relu\nmaxpooling\ndropout 0.25\nflatten\n"
    "dense 128 relu\ndropout 0.5",
    "small cnn": "conv 8 relu\nconv 16 relu\nmaxpooling\nflatten\ndense 32 relu",
    "dense": "flatten\ndense 128 relu\ndense 128 relu",
    "hardened cnn": "conv 8 relu\nconv 16 relu\nmaxpooling\nflatten\ndense 32 relu",
}
PEER_NORMS = {"linf": "Linf", "l2": "L2"}
EPOCHS = 4
TRAINING = 30_000
HARDENING = 0.2
"""Linf radius of the adversarial training."""


def main() -> None:
    """Attack every network in both norms with both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--autoattack", required=True, type=Path, help="a clone of auto-attack")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--norms", default="linf,l2")
    parser.add_argument("--weights", type=Path, help="folder to keep the trained networks in")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(options.autoattack))

    data = nv.load_dataset("mnist", root=options.data_dir)
    images, labels = data.test.images[: options.images], data.test.labels[: options.images]
    rows = []
    print(f"{'network':20}{'norm':>6}{'epsilon':>9}{'clean':>7}", end="")
    print(f"{'ours':>7}{'theirs':>8}{'CPU s':>9}{'theirs':>8}")
    for name in options.networks.split(","):
        model = network_for(name, data, options.weights)
        for norm in options.norms.split(","):
            row = compare(model, images, labels, norm)
            rows.append({"network": name, **row})
            print(f"{name:20}{norm:>6}{row['epsilon']:9.3g}{row['clean']:7d}", end="")
            print(f"{row['ours']:7d}{row['theirs']:8d}", end="")
            print(f"{row['ours_seconds']:9.1f}{row['theirs_seconds']:8.1f}", flush=True)
    excess = max(row["ours"] - row["theirs"] for row in rows)
    print(f"robust images of {len(images)}: ours exceeds theirs by {excess} at the most")
    if options.out:
        write_text(options.out, json.dumps({"images": len(images), "rows": rows}, indent=2) + "\n")


def network_for(name: str, data: nv.Dataset, weights: Path | None) -> nn.Module:
    """Return a network of the table, trained now, or before if `weights` has it."""
    model = nv.Architecture.parse(NETWORKS[name]).build(data.shape, data.classes, seed=1)
    kept = weights / f"{name}.safetensors" if weights else None
    if kept and kept.is_file():
        model.load_state_dict(read_tensors(kept)[0])
        return model.eval()
    draws = torch.Generator().manual_seed(1)
    train_images, train_labels = data.train.images[:TRAINING], data.train.labels[:TRAINING]
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()
    for epoch in range(EPOCHS):
        for batch in torch.split(torch.randperm(TRAINING, generator=draws), 128):
            inputs, targets = train_images[batch], train_labels[batch]
            if name == "hardened cnn":
                # The radius grows: with the largest from the start, nothing is learnt.
                inputs = one_step(model, inputs, targets, HARDENING * epoch / (EPOCHS - 1), draws)
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    if kept:
        write_tensors(kept, model.state_dict())
    return model.eval()


def one_step(
    model: nn.Module, images: Tensor, labels: Tensor, radius: float, draws: torch.Generator
) -> Tensor:
    """Return images perturbed by one signed step from a random start in the Linf ball."""
    start = (torch.rand(images.shape, generator=draws) * 2.0 - 1.0) * radius
    leaf = (images + start).clamp(0.0, 1.0).requires_grad_(True)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model(leaf), labels), leaf)
    change = (leaf.detach() - images + 1.25 * radius * gradient.sign()).clamp(-radius, radius)
    return (images + change).clamp(0.0, 1.0)


def compare(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> dict[str, Any]:
    """Return epsilon, and for both sides the robust images and the seconds."""
    scout = nv.attacks.create("fab", norm=norm, targets=2, steps=20)(model, images, labels)
    distances = scout.linf if norm == "linf" else scout.l2
    epsilon = float(f"{float(distances[distances.isfinite()].quantile(0.4)):.2g}")

    def ours() -> Tensor:
        attack = nv.attacks.create("auto", norm=norm, epsilon=epsilon)
        return attack(model, images, labels).images

    def theirs() -> Tensor:
        # By name, for this file has the same; the clone's folder comes first on the path.
        peer = import_module("autoattack").AutoAttack(
            model,
            PEER_NORMS[norm],
            epsilon,
            seed=0,
            verbose=False,
            version="standard",
            device="cpu",
        )
        found: Tensor = peer.run_standard_evaluation(images, labels, bs=len(images))
        return found

    row: dict[str, Any] = {
        "norm": norm,
        "epsilon": epsilon,
        "clean": int((predict(model, images) == labels).sum()),
    }
    for side, attack in (("ours", ours), ("theirs", theirs)):
        row[side], row[f"{side}_seconds"] = judged(model, images, labels, norm, epsilon, attack)
    return row


def judged(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: str,
    epsilon: float,
    attack: Callable[[], Tensor],
) -> tuple[int, float]:
    """Return how many images stay robust, and how many CPU seconds the attack took."""
    start = time.process_time()
    found = attack().detach()
    seconds = time.process_time() - start
    inside = norms((found - images).double(), norm) <= epsilon + 1e-6
    inside &= ((found >= 0) & (found <= 1)).flatten(1).all(dim=1)
    broken = inside & (predict(model, found) != labels)
    wrong = predict(model, images) != labels
    return int((~broken & ~wrong).sum()), seconds


if __name__ == "__main__":
    main()
