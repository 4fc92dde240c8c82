"""Other libraries' attacks on a soft vote, run in an environment of their own (see whole.py).

Reads the members and the images from a file, runs each attack on one thread, and writes its images
and the processor time that it took. Peers: adv-lib 0.2.8 on the vote as one model, the
Adversarial Robustness Toolbox's attacks on its EnsembleClassifier, and MORA and ARC from clones.
Votes that are counted have no gradient; there the libraries attack the mean softmax of the same
members, and the clones what their papers have for them.
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
from attacks_exchange import Found, Run, Task, read_tasks, run_all
from whole_clones import Within, arc_runs, bisected, mora_runs


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


def art_runs(norm: str, steps: int) -> dict[str, Run]:
    """Return the toolbox's attacks on its ensemble of the members, which means their logits.

    Carlini and Wagner's with its own constants and fewer of its steps, DeepFool as it is, and its
    PGD within radii that are bisected. Its Auto-PGD refuses an EnsembleClassifier.
    """
    from art.attacks.evasion import (
        CarliniL2Method,
        DeepFool,
        ProjectedGradientDescent,
    )
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

    def made(make: type, classifier: EnsembleClassifier, **options: object) -> Within:
        attacker = make(classifier, batch_size=64, verbose=False, **options)

        def generate(images: Tensor, labels: Tensor, _: float = 0.0) -> Tensor:
            hot = np.eye(10, dtype=np.float32)[labels.numpy()]
            return torch.from_numpy(attacker.generate(images.numpy(), y=hot))

        return generate

    def minimal(make: type, **options: object) -> Run:
        def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            assert isinstance(model, SoftVote)
            return made(make, ensemble(model), **options)(images, labels, 0.0)

        return attack

    def bounded(make: type, **options: object) -> Run:
        def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor | Found:
            assert isinstance(model, SoftVote)
            classifier = ensemble(model)

            def within(some: Tensor, own: Tensor, radius: float) -> Tensor:
                order = 2 if norm == "l2" else np.inf
                sizes = {"norm": order, "eps": radius, "eps_step": radius / 5}
                return made(make, classifier, **sizes, **options)(some, own, radius)

            members = list(model.members)
            return bisected(members, model.voter, norm, within)(model, images, labels)

        return attack

    turns = max(steps // 8, 20)
    runs = {"pgd": bounded(ProjectedGradientDescent, max_iter=turns)}
    if norm == "l2":
        few = {"max_iter": 10, "binary_search_steps": 5, "learning_rate": 0.05}
        runs["deepfool"] = minimal(DeepFool, max_iter=50)
        runs["carlini-l2"] = minimal(CarliniL2Method, **few)
    return runs


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--voter", default="mean-softmax")
    parser.add_argument("--norm", default="l2")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--library", default="adv-lib", choices=("adv-lib", "art", "mora", "arc"))
    parser.add_argument("--clone", type=Path, help="the folder of MORA's or ARC's repository")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    members = read_tasks(asked.tasks)
    first = next(iter(members.values()))
    vote = SoftVote([task.model for task in members.values()], asked.voter).eval()
    for parameter in vote.parameters():
        parameter.requires_grad_(False)
    task = Task(vote, first.images, first.labels)
    members_alone = [task.model for task in members.values()]
    if asked.library == "adv-lib":
        made = adv_lib_runs(asked.norm, asked.steps)
    elif asked.library == "art":
        made = art_runs(asked.norm, asked.steps)
    elif asked.library == "mora":
        made = mora_runs(asked.clone, members_alone, asked.voter, asked.norm, asked.steps)
    else:
        made = arc_runs(asked.clone, members_alone, asked.voter, asked.norm)
    runs = {(asked.library, name): run for name, run in made.items()}
    run_all({f"{asked.voter}-{asked.norm}": task}, runs, asked.out, asked.limit)


if __name__ == "__main__":
    main()
