"""Foolbox 2.4's attacks with the study's defaults, for benchmarks/attacks.py.

    python benchmarks/attacks_foolbox2.py TASKS FOLDER ATTACK,ATTACK... SECONDS

Needs an environment of its own with foolbox==2.4.0, numpy==1.26.4, scipy and PyTorch.
"""

from __future__ import annotations

import collections
import collections.abc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks_exchange import Found, Run, read_tasks, run_all

# Foolbox 2.4 was written for Python 3.7 and looks for these two where they were then.
for moved in ("Iterable", "Mapping"):
    setattr(collections, moved, getattr(collections.abc, moved))

import foolbox  # noqa: E402

ATTACKS: dict[str, tuple[Any, Any]] = {
    "gradient": (foolbox.attacks.GradientAttack, foolbox.distances.MSE),
    "gradient-sign": (foolbox.attacks.GradientSignAttack, foolbox.distances.Linf),
    "deepfool": (foolbox.attacks.DeepFoolAttack, foolbox.distances.MSE),
    "adef": (foolbox.attacks.ADefAttack, foolbox.distances.MSE),
    "saliency-map": (foolbox.attacks.SaliencyMapAttack, foolbox.distances.MSE),
    "carlini-wagner": (foolbox.attacks.CarliniWagnerL2Attack, foolbox.distances.MSE),
    "newtonfool": (foolbox.attacks.NewtonFoolAttack, foolbox.distances.MSE),
    "random-pgd": (
        foolbox.attacks.RandomStartProjectedGradientDescentAttack,
        foolbox.distances.Linf,
    ),
    "slsqp": (foolbox.v1.attacks.SLSQPAttack, foolbox.distances.MSE),
    "lbfgs": (foolbox.v1.attacks.LBFGSAttack, foolbox.distances.MSE),
}


def runner(attack: Callable[..., Any], distance: Any) -> Run:
    """Return a run of one attack with its default options."""

    def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        wrapped = foolbox.models.PyTorchModel(model, (0, 1), num_classes=10, device="cpu")
        foolbox.set_seeds(0)
        prepared = attack(wrapped, distance=distance)
        if not attack.__module__.startswith("foolbox.v1"):
            return torch.from_numpy(prepared(images.numpy(), labels.numpy()))
        # Foolbox 1's attacks take one image at a time and return None where they fail.
        found = [
            prepared(image, int(label)) for image, label in zip(images.numpy(), labels, strict=True)
        ]
        nothing = np.full_like(images[0].numpy(), np.nan)
        return torch.from_numpy(np.stack([nothing if one is None else one for one in found]))

    return run


def deforming(model: nn.Module, images: Tensor, labels: Tensor) -> Found:
    """Run ADef with its default options, and ask each image's attack for its vector field."""
    made: list[Any] = []

    class Recorded(foolbox.attacks.ADefAttack):  # type: ignore[misc]
        """Foolbox makes one of these for each image, and one to make them."""

        def _initialize(self) -> None:
            super()._initialize()
            made.append(self)

    found = runner(Recorded, foolbox.distances.MSE)(model, images, labels)
    fields = [np.nan if one.vector_field is None else one.vector_field for one in made[1:]]
    return Found(torch.as_tensor(found), torch.tensor([np.linalg.norm(field) for field in fields]))


def main() -> None:
    """Run the attacks on the tasks."""
    tasks, folder = read_tasks(Path(sys.argv[1])), Path(sys.argv[2])
    wanted = sys.argv[3].split(",")
    torch.set_num_threads(1)
    runs = {("foolbox2", name): runner(*ATTACKS[name]) for name in wanted if name in ATTACKS}
    if "adef" in wanted:
        runs["foolbox2", "adef"] = deforming
    run_all(tasks, runs, folder, float(sys.argv[4]))


if __name__ == "__main__":
    main()
