"""Other libraries' attacks on a soft vote, run in an environment of their own (see whole.py).

Reads the members and the images from a file, runs each attack on one thread, and writes its images
and the processor time that it took. Peers: adv-lib 0.2.8 on the vote as one model, and the
Adversarial Robustness Toolbox's attacks on its EnsembleClassifier.
"""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from attacks_exchange import Run, Task, read_tasks, run_all


class SoftVote(nn.Module):
    """The logarithm of the mean softmax, or the mean logit, of some networks."""

    def __init__(self, members: list[nn.Module], voter: str) -> None:
        super().__init__()
        self.members, self.voter = nn.ModuleList(members), voter

    def forward(self, images: Tensor) -> Tensor:
        """Return the vote's logits."""
        logs = torch.stack([model(images).log_softmax(dim=1) for model in self.members])
        return logs.logsumexp(dim=0) if self.voter == "mean-softmax" else logs.mean(dim=0)


def adv_lib_runs(norm: str, steps: int) -> dict[str, Run]:
    """Return adv-lib's attacks for a norm."""
    # What it draws progress and measures pictures with, which these attacks do not need.
    for name, needed in (("visdom", "Visdom"), ("torchvision", "models")):
        absent = types.ModuleType(name)
        setattr(absent, needed, object)
        sys.modules.setdefault(name, absent)
    from adv_lib.attacks import alma, apgd, ddn, fmn, pdgd, pdpgd

    def minimal_apgd(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        low = torch.zeros(len(images))
        high = torch.full((len(images),), 4.0 if norm == "l2" else 0.5)
        best = torch.full_like(images, torch.nan)
        for _ in range(8):
            middle = (low + high) / 2
            found = apgd(
                model,
                images,
                labels,
                eps=middle,
                norm=2 if norm == "l2" else float("inf"),
                n_iter=max(steps // 8, 20),
            )
            with torch.no_grad():
                won = model(found).argmax(dim=1) != labels
            best[won] = found[won]
            high, low = torch.where(won, middle, high), torch.where(won, low, middle)
        return best

    order: float = 2 if norm == "l2" else float("inf")
    runs: dict[str, Run] = {
        "fmn": lambda m, x, y: fmn(m, x, y, norm=order, steps=steps),
        "apgd": minimal_apgd,
    }
    if norm == "l2":
        runs["ddn"] = lambda m, x, y: ddn(m, x, y, steps=steps)
        runs["alma"] = lambda m, x, y: alma(m, x, y, distance="l2", num_steps=steps)
        runs["pdgd"] = lambda m, x, y: pdgd(m, x, y, num_steps=steps)
    else:
        runs["pdpgd"] = lambda m, x, y: pdpgd(m, x, y, norm=order, num_steps=steps)
    return runs


def art_runs(norm: str) -> dict[str, Run]:
    """Return the toolbox's attacks on its ensemble of the members, with its defaults."""
    from art.attacks.evasion import AutoProjectedGradientDescent, CarliniL2Method, DeepFool
    from art.estimators.classification import EnsembleClassifier, PyTorchClassifier

    def ensemble(model: SoftVote) -> EnsembleClassifier:
        one = [
            PyTorchClassifier(
                member,
                loss=nn.CrossEntropyLoss(),
                input_shape=(1, 28, 28),
                nb_classes=10,
                clip_values=(0.0, 1.0),
                device_type="cpu",
            )
            for member in model.members
        ]
        return EnsembleClassifier(one, channels_first=True, clip_values=(0.0, 1.0))

    def run(make: type, **options: object) -> Run:
        def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            assert isinstance(model, SoftVote)
            attacker = make(ensemble(model), batch_size=64, verbose=False, **options)
            hot = np.eye(10, dtype=np.float32)[labels.numpy()]
            return torch.from_numpy(attacker.generate(images.numpy(), y=hot))

        return attack

    if norm == "l2":
        return {"carlini-l2": run(CarliniL2Method), "deepfool": run(DeepFool)}
    apgd = {"norm": np.inf, "eps": 0.1, "eps_step": 0.02, "loss_type": "cross_entropy"}
    return {"apgd-0.1": run(AutoProjectedGradientDescent, **apgd)}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--voter", default="mean-softmax")
    parser.add_argument("--norm", default="l2")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--library", default="adv-lib", choices=("adv-lib", "art"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    members = read_tasks(asked.tasks)
    first = next(iter(members.values()))
    vote = SoftVote([task.model for task in members.values()], asked.voter).eval()
    for parameter in vote.parameters():
        parameter.requires_grad_(False)
    task = Task(vote, first.images, first.labels)
    made = (
        adv_lib_runs(asked.norm, asked.steps)
        if asked.library == "adv-lib"
        else art_runs(asked.norm)
    )
    runs = {(asked.library, name): run for name, run in made.items()}
    run_all({f"{asked.voter}-{asked.norm}": task}, runs, asked.out, asked.limit)


if __name__ == "__main__":
    main()
