"""adv-lib, Foolbox 3, ART and torchattacks as minimum-norm attacks, for benchmarks/optimality.py.

    python benchmarks/optimality_peers.py TASKS FOLDER SIDE/ATTACK/NORM,... BUDGET SECONDS [DEVICE]

Each attack runs with the options that its authors or AttackBench give it, and as many iterations as
the budget of passes allows. As in AttackBench, the nearest adversarial image of all that an attack
shows the model in whole batches counts as found, even if the attack returns another, and a model
whose budget is spent answers zeros. The seconds that this watching takes are not counted.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks_exchange import Task, clock, read_tasks

INF = float("inf")

Minimal = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Model, images and labels -> images that may or may not be adversarial."""


def main() -> None:
    """Run what is asked for and not there yet, one file for each."""
    tasks, folder = read_tasks(Path(sys.argv[1])), Path(sys.argv[2])
    device = sys.argv[6] if len(sys.argv) > 6 else "cpu"
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for network, task in tasks.items():
        for key in sys.argv[3].split(","):
            side, attack, norm = key.split("/")
            path = folder / f"{network}+{side}+{attack}+{norm}.npz"
            if path.is_file():
                continue
            try:
                run = SIDES[side](norm)[attack]
                measure(run, task.to(device), norm, path, float(sys.argv[4]), float(sys.argv[5]))
            except Exception as error:
                print(f"{network}: {key} broke off: {error!r}", flush=True)


def names() -> list[str]:
    """Return all there are, as SIDE/ATTACK/NORM; needs none of the libraries."""
    listed = []
    for norm in ("l0", "l1", "l2", "linf"):
        listed += [f"{side}/{one}/{norm}" for side, has in NAMES.items() for one in has[norm]]
    return listed


class Watched(nn.Module):
    """The attacked model, which counts its passes and remembers the nearest adversarial images."""

    def __init__(self, task: Task, norm: str, budget: float, limit: float) -> None:
        super().__init__()
        self.model = task.model
        self._task, self._norm, self._budget = task, norm, budget * len(task.images)
        self._deadline = time.perf_counter() + limit
        self.forwards = self.backwards = 0
        self.best = torch.full_like(task.images, torch.nan)
        self.sizes = task.images.new_full((len(task.images),), torch.inf, dtype=torch.float64)
        self.aside = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, or zeros where the budget or the time is spent."""
        if time.perf_counter() > self._deadline:
            raise TimeoutError
        if self.forwards + self.backwards >= self._budget:
            return images.flatten(1)[:, :10] * 0.0
        logits: Tensor = self.model(images)
        self.forwards += len(images)
        if logits.requires_grad:
            hook = functools.partial(self._backward, len(images))
            logits.register_hook(hook)  # type: ignore[no-untyped-call]
        start = clock(self._task)
        if len(images) == len(self.best):
            self._watch(images.detach(), logits.detach())
        self.aside += clock(self._task) - start
        return logits

    def _backward(self, count: int, _: Tensor) -> None:
        self.backwards += count

    def _watch(self, images: Tensor, logits: Tensor) -> None:
        valid = ((images >= 0) & (images <= 1)).flatten(1).all(dim=1)
        wrong = (logits.argmax(dim=1) != self._task.labels) & valid
        sizes = size_of(images - self._task.images, self._norm)
        better = wrong & (sizes < self.sizes)
        self.best[better], self.sizes[better] = images[better].float(), sizes[better]

    def take(self, images: Tensor) -> None:
        """Take what the attack returned over where it is nearer."""
        images = images.detach().float().clamp(0.0, 1.0)
        with torch.no_grad():
            self._watch(images, self.model(images))


def size_of(changes: Tensor, norm: str) -> Tensor:
    """Return each change's size, [count]; in L0, pixels changed by more than rounding."""
    flat = changes.flatten(1).double().abs()
    if norm == "l0":
        return (flat > 1e-6).sum(dim=1).double()
    by_norm = {"l1": flat.sum(dim=1), "l2": flat.square().sum(dim=1).sqrt()}
    return by_norm[norm] if norm in by_norm else flat.amax(dim=1)


def measure(run: Minimal, task: Task, norm: str, path: Path, budget: float, limit: float) -> None:
    """Run one attack and write what it found, its passes and its processor seconds per image."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (ART draws from the global generator)
    model = Watched(task, norm, budget, limit).eval()
    count, stopped, busy = len(task.images), False, clock(task)
    try:
        model.take(run(model, task.images.clone(), task.labels.clone()))
    except TimeoutError:
        stopped = True
    busy = clock(task) - busy - model.aside
    found = model.sizes.isfinite()
    median = float(model.sizes.median())
    ended = " (stopped)" if stopped else ""
    passes = (model.forwards + model.backwards) / count
    print(f"{path.stem}: {int(found.sum())} found, median {median:.4g}, ", end="")
    print(f"{passes:.0f} passes, {busy:.1f} s{ended}", flush=True)
    np.savez(
        path,
        images=model.best.cpu().numpy(),
        forwards=model.forwards / count,
        backwards=model.backwards / count,
        seconds=busy / count,
        stopped=stopped,
    )


P = {"l0": 0.0, "l1": 1.0, "l2": 2.0, "linf": INF}

LARGEST = {"l1": 60.0, "l2": 10.0, "linf": 1.0}
"""The largest budget of distance that a search begins with."""


def adv_lib(norm: str) -> dict[str, Minimal]:
    """Return adv-lib's attacks that minimise a norm."""
    for absent in ("torchvision", "visdom"):
        # Imported for perceptual distances and pictures alone, which nothing here asks for.
        if absent not in sys.modules and importlib.util.find_spec(absent) is None:
            sys.modules[absent] = types.ModuleType(absent)
            sys.modules[absent].models = None  # type: ignore[attr-defined]
    from adv_lib import attacks
    from adv_lib.attacks.auto_pgd import minimal_apgd

    p = P[norm]
    found: dict[str, Minimal] = {
        "fmn": functools.partial(attacks.fmn, norm=p, steps=1000),
        "pdpgd": functools.partial(attacks.pdpgd, norm=p, num_steps=500),
        "pdpgd-long": functools.partial(attacks.pdpgd, norm=p, num_steps=1000),
    }
    if norm == "l0":
        found["sigma-zero"] = functools.partial(attacks.sigma_zero, num_steps=1000)
        found["vfga"] = functools.partial(attacks.vfga, targeted=False)
        found["pdpgd-23"] = functools.partial(
            attacks.pdpgd, norm=0.0, num_steps=1000, proximal_operator=23
        )
        return found
    # Nine runs of one search step cost steps * 2 * 9 passes at the most.
    search = {"norm": p, "max_eps": LARGEST[norm], "targeted_version": True, "n_restarts": 1}
    found["apgd-targeted"] = functools.partial(
        minimal_apgd, binary_search_steps=10, n_iter=20, use_large_reps=norm == "l1", **search
    )
    found["apgd"] = functools.partial(
        minimal_apgd,
        norm=p,
        max_eps=LARGEST[norm],
        binary_search_steps=10,
        n_iter=100,
        use_large_reps=norm == "l1",
    )
    found["fab"] = functools.partial(attacks.fab, norm=p, n_iter=150)
    if norm != "linf":
        found["alma"] = functools.partial(
            attacks.alma, distance=norm, num_steps=1000, α=0.9, init_lr_distance=1.0
        )
    if norm == "l2":
        found["ddn"] = functools.partial(attacks.ddn, steps=1000, levels=None)
        found["pdgd"] = functools.partial(attacks.pdgd, num_steps=500)
        found["pdgd-long"] = functools.partial(attacks.pdgd, num_steps=1000)
        found["superdeepfool"] = attacks.sdf
        found["deepfool"] = attacks.df
        found["carlini-wagner"] = functools.partial(
            attacks.carlini_wagner_l2, binary_search_steps=9, max_iterations=111
        )
    if norm != "l1":
        found["tr"] = functools.partial(attacks.tr, p=p, iter=500, adaptive=True)
    return found


def foolbox(norm: str) -> dict[str, Minimal]:
    """Return Foolbox 3's attacks that minimise a norm."""
    import foolbox as library
    from foolbox import attacks

    def minimal(attack: Any) -> Minimal:
        def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            wrapped = library.PyTorchModel(model, bounds=(0, 1), device=images.device)
            _, found, _ = attack(wrapped, images, labels, epsilons=None)
            result: Tensor = found
            return result

        return run

    classes = {
        "l0": attacks.L0FMNAttack,
        "l1": attacks.L1FMNAttack,
        "l2": attacks.L2FMNAttack,
        "linf": attacks.LInfFMNAttack,
    }
    found = {"fmn": minimal(classes[norm](steps=1000))}
    if norm == "l1":
        found["ead"] = minimal(
            attacks.EADAttack(binary_search_steps=9, steps=111, decision_rule="L1")
        )
    if norm == "l2":
        found["ddn"] = minimal(attacks.DDNAttack(steps=1000))
        found["deepfool"] = minimal(attacks.L2DeepFoolAttack(steps=50))
        found["carlini-wagner"] = minimal(
            attacks.L2CarliniWagnerAttack(binary_search_steps=9, steps=111)
        )
    if norm == "linf":
        found["deepfool"] = minimal(attacks.LinfDeepFoolAttack(steps=50))
    if importlib.util.find_spec("numba") is None:
        return found
    bethge = {
        "l0": attacks.L0BrendelBethgeAttack,
        "l1": attacks.L1BrendelBethgeAttack,
        "l2": attacks.L2BrendelBethgeAttack,
        "linf": attacks.LinfinityBrendelBethgeAttack,
    }
    found["brendel-bethge"] = minimal(bethge[norm](steps=900))
    return found


def art(norm: str) -> dict[str, Minimal]:
    """Return the attacks of the Adversarial Robustness Toolbox that minimise a norm."""
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    def generated(attack: Callable[..., Any], **options: Any) -> Minimal:
        def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            wrapped = PyTorchClassifier(
                model,
                nn.CrossEntropyLoss(),
                tuple(images.shape[1:]),
                10,
                clip_values=(0.0, 1.0),
                device_type="gpu" if images.is_cuda else "cpu",
            )
            prepared = attack(wrapped, batch_size=len(images), verbose=False, **options)
            one_hot = np.eye(10, dtype=np.float32)[labels.cpu().numpy()]
            found = prepared.generate(images.cpu().numpy(), one_hot)
            return torch.from_numpy(found).to(images.device)

        return run

    if norm == "l1":
        return {
            "ead": generated(
                evasion.ElasticNet, binary_search_steps=9, max_iter=100, decision_rule="L1"
            )
        }
    if norm == "l2":
        return {
            "carlini-wagner": generated(
                evasion.CarliniL2Method, binary_search_steps=9, max_iter=100, learning_rate=0.01
            ),
            "deepfool": generated(evasion.DeepFool, max_iter=100),
        }
    return {}


def torchattacks(norm: str) -> dict[str, Minimal]:
    """Return torchattacks' attacks that minimise a norm."""
    import torchattacks as library

    def plain(attack: Callable[..., Any], **options: Any) -> Minimal:
        def run(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            found: Tensor = attack(model, **options)(images, labels)
            return found

        return run

    if norm == "l0":
        return {"sparsefool": plain(library.SparseFool, steps=20, lam=3)}
    if norm == "l1":
        return {
            "ead": plain(library.EADL1, binary_search_steps=9, max_iterations=111),
            "fab": plain(library.FAB, norm="L1", eps=60.0, steps=150),
        }
    if norm == "l2":
        return {
            "carlini-wagner": plain(library.CW, c=1, steps=1000, lr=0.01),
            "deepfool": plain(library.DeepFool, steps=50),
            "fab": plain(library.FAB, norm="L2", eps=10.0, steps=150),
        }
    return {"fab": plain(library.FAB, norm="Linf", eps=1.0, steps=150)}


SIDES: dict[str, Callable[[str], dict[str, Minimal]]] = {
    "adv-lib": adv_lib,
    "foolbox": foolbox,
    "art": art,
    "torchattacks": torchattacks,
}

NAMES: dict[str, dict[str, list[str]]] = {
    "adv-lib": {
        "l0": ["sigma-zero", "fmn", "pdpgd-long", "pdpgd-23", "vfga"],
        "l1": ["pdpgd-long", "pdpgd", "fmn", "alma", "apgd-targeted", "apgd", "fab"],
        "l2": [
            *("ddn", "pdgd-long", "fmn", "alma", "pdgd", "superdeepfool", "apgd-targeted", "apgd"),
            *("fab", "pdpgd-long", "carlini-wagner", "deepfool", "tr"),
        ],
        "linf": ["apgd-targeted", "fmn", "pdpgd-long", "pdpgd", "apgd", "fab", "tr"],
    },
    "foolbox": {
        "l0": ["fmn", "brendel-bethge"],
        "l1": ["fmn", "ead", "brendel-bethge"],
        "l2": ["ddn", "fmn", "carlini-wagner", "deepfool", "brendel-bethge"],
        "linf": ["fmn", "deepfool", "brendel-bethge"],
    },
    "art": {"l0": [], "l1": ["ead"], "l2": ["carlini-wagner", "deepfool"], "linf": []},
    "torchattacks": {
        "l0": ["sparsefool"],
        "l1": ["ead", "fab"],
        "l2": ["carlini-wagner", "deepfool", "fab"],
        "linf": ["fab"],
    },
}


if __name__ == "__main__":
    main()
