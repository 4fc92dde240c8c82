"""Run auto_LiRPA's CROWN on networks from a file; called by certification.py.

For each image the radius is bisected in the logarithm as CNN-Cert does, with all nine margins as
rows of one specification matrix. Needs torch and what auto_LiRPA needs; modules of it that its
bounds do not use (torchvision) may be missing.

    python certification_auto_lirpa.py CLONE TASKS.npz RESULTS.json
"""

from __future__ import annotations

import json
import math
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS = 15
FIRST_GUESS = 0.05


def network(layers: list[dict[str, Any]], arrays: Any, prefix: str) -> nn.Module:
    """Return the network as modules."""
    modules: list[nn.Module] = []
    flat = False
    for index, layer in enumerate(layers):
        kind = layer["kind"]
        if kind in ("conv", "dense"):
            weight = torch.tensor(arrays[f"{prefix}.{index}.weight"])
            bias = torch.tensor(arrays[f"{prefix}.{index}.bias"])
            module: nn.Module
            if kind == "conv":
                module = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
            else:
                if not flat:
                    modules.append(nn.Flatten())
                    flat = True
                module = nn.Linear(weight.shape[1], weight.shape[0])
            module.load_state_dict({"weight": weight, "bias": bias})
            modules.append(module)
        else:
            modules.append(nn.ReLU() if kind == "relu" else nn.MaxPool2d(2))
    return nn.Sequential(*modules).eval()


def main() -> None:
    """Measure all tasks and write mean radii and seconds."""
    clone, tasks, results = sys.argv[1:4]
    torch.set_num_threads(1)
    for name in ("torchvision", "torchvision.transforms", "torchvision.datasets"):
        sys.modules[name] = types.ModuleType(name)
    sys.path.insert(0, clone)
    from auto_LiRPA import BoundedModule, BoundedTensor
    from auto_LiRPA.perturbations import PerturbationLpNorm

    arrays = np.load(tasks)
    plan = json.loads(str(arrays["plan"]))
    out: dict[str, Any] = {}
    for name, layers in plan["networks"].items():
        model = network(layers, arrays, name)
        images = torch.tensor(arrays[f"{name}.images"])
        labels = arrays[f"{name}.labels"]
        count = min(len(images), plan["peer_images"][name])
        bounded = BoundedModule(model, images[:1], device="cpu")
        for norm in plan["norms"]:
            p = math.inf if norm == "inf" else float(norm)
            radii = []
            start, busy = time.perf_counter(), time.process_time()
            for i in range(count):
                label = int(labels[i])
                others = [j for j in range(10) if j != label]
                c = (torch.eye(10)[label] - torch.eye(10)[others])[None]
                log_eps, low, high = math.log(FIRST_GUESS), -math.inf, math.inf
                for _ in range(STEPS):
                    ball = PerturbationLpNorm(norm=p, eps=math.exp(log_eps))
                    x = BoundedTensor(images[i : i + 1], ball)
                    with torch.no_grad():
                        bound, _ = bounded.compute_bounds(
                            x=(x,), C=c, method="CROWN", bound_upper=False
                        )
                    if float(bound.min()) > 0:
                        low = log_eps
                        log_eps = min(log_eps + 1, (high + low) / 2)
                    else:
                        high = log_eps
                        log_eps = max(log_eps - 1, (high + low) / 2)
                radii.append(math.exp(low))
            out[f"{name} {norm}"] = {
                "radii": radii,
                "seconds": (time.perf_counter() - start) / count,
                "processor_seconds": (time.process_time() - busy) / count,
            }
            print(name, norm, out[f"{name} {norm}"], file=sys.stderr, flush=True)
            Path(results).write_text(json.dumps(out))


if __name__ == "__main__":
    main()
