"""Run CNN-Cert's numerical core on networks from a file; called by certification.py.

CNN-Cert (Boopathy et al. 2019) comes as scripts for TensorFlow 1. Its bounds themselves need only
numpy and numba, so the modules that it imports and does not use here are replaced by empty ones,
and its radius search (15 steps of bisection of the logarithm, for one target) is repeated here.
Needs numpy and numba; run it with the interpreter of an environment that has them.

    python certification_cnn_cert.py CLONE TASKS.npz RESULTS.json
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 15
FIRST_GUESS = 0.05
NORMS = {"1": 1, "2": 2, "inf": 105}


class _Anything(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def load(clone: str) -> Any:
    """Import the clone's ``cnn_bounds_full`` without TensorFlow."""
    keras = "tensorflow.contrib.keras.api.keras"
    names = ["tensorflow", "tensorflow.contrib", "tensorflow.contrib.keras"]
    names += ["tensorflow.contrib.keras.api", keras]
    names += [f"{keras}.{part}" for part in ("models", "layers", "backend")]
    names += ["setup_mnist", "setup_cifar", "setup_tinyimagenet", "train_resnet", "utils"]
    for name in names:
        sys.modules[name] = _Anything(name)
    sys.path.insert(0, clone)
    core = importlib.import_module("cnn_bounds_full")
    core.linear_bounds = core.ada_linear_bounds  # type: ignore[attr-defined]
    return core


def network(layers: list[dict[str, Any]], arrays: Any, prefix: str) -> dict[str, list[Any]]:
    """Return CNN-Cert's lists (weights, biases, shapes, ...) for our layers, channels last."""
    net: dict[str, list[Any]] = {
        key: [] for key in ("weights", "biases", "pads", "strides", "sizes", "types")
    }
    shape = (28, 28, 1)
    net["shapes"] = [shape]
    for index, layer in enumerate(layers):
        weight = bias = size = None
        pad, stride = (0, 0, 0, 0), (1, 1)
        if layer["kind"] in ("conv", "dense"):
            weight = arrays[f"{prefix}.{index}.weight"]
            bias = np.ascontiguousarray(arrays[f"{prefix}.{index}.bias"], dtype=np.float32)
            if layer["kind"] == "dense":
                weight = weight.reshape(len(weight), shape[2], shape[0], shape[1])
            weight = np.ascontiguousarray(weight.transpose(0, 2, 3, 1), dtype=np.float32)
            rows, columns = shape[0] - weight.shape[1] + 1, shape[1] - weight.shape[2] + 1
            shape = (rows, columns, len(weight))
        elif layer["kind"] == "pool":
            size = stride = (2, 2)
            shape = (shape[0] // 2, shape[1] // 2, shape[2])
        else:
            pad = stride = None  # type: ignore[assignment]
        kind = {"dense": "conv"}.get(layer["kind"], layer["kind"])
        for key, value in (
            ("weights", weight), ("biases", bias), ("pads", pad), ("strides", stride),
            ("sizes", size), ("types", kind), ("shapes", shape),
        ):  # fmt: skip
            net[key].append(value)
    return net


def radius(
    core: Any, net: dict[str, list[Any]], image: Any, label: int, target: int, p: int
) -> float:
    """Search the radius for one image and one target as the original script does."""
    weight, bias = net["weights"][-1], net["biases"][-1]
    weights = [*net["weights"][:-1], np.ascontiguousarray(weight[label] - weight[target])[None]]
    biases = [*net["biases"][:-1], np.asarray([bias[label] - bias[target]])]
    shapes = [*net["shapes"][:-1], (1, 1, 1)]
    log_eps, low, high = np.log(FIRST_GUESS), -np.inf, np.inf
    for _ in range(STEPS):
        bound, _ = core.find_output_bounds(
            weights, biases, shapes, net["pads"], net["strides"], net["sizes"], net["types"],
            image, np.exp(log_eps), p,
        )  # fmt: skip
        if bound > 0:
            low = log_eps
            log_eps = min(log_eps + 1, (high + low) / 2)
        else:
            high = log_eps
            log_eps = max(log_eps - 1, (high + low) / 2)
    return float(np.exp(low))


def main() -> None:
    """Measure all tasks and write mean radii and seconds."""
    clone, tasks, results = sys.argv[1:4]
    core = load(clone)
    core.print = lambda *_: None
    arrays = np.load(tasks)
    plan = json.loads(str(arrays["plan"]))
    out: dict[str, Any] = {}
    for name, layers in plan["networks"].items():
        net = network(layers, arrays, name)
        images = arrays[f"{name}.images"].transpose(0, 2, 3, 1).astype(np.float32)
        labels, targets = arrays[f"{name}.labels"], arrays[f"{name}.targets"]
        count = min(len(images), plan["peer_images"][name])
        for norm in plan["norms"]:
            p = NORMS[norm]
            first = core.find_output_bounds
            net_one = {**net}
            first(
                [*net_one["weights"][:-1], net_one["weights"][-1][:1]],
                [*net_one["biases"][:-1], net_one["biases"][-1][:1]],
                [*net_one["shapes"][:-1], (1, 1, 1)],
                net["pads"], net["strides"], net["sizes"], net["types"],
                images[0], FIRST_GUESS, p,
            )  # fmt: skip
            start, busy = time.perf_counter(), time.process_time()
            radii = [
                radius(core, net, images[i], int(labels[i]), int(targets[i]), p)
                for i in range(count)
            ]
            out[f"{name} {norm}"] = {
                "radii": radii,
                "seconds": (time.perf_counter() - start) / count,
                "processor_seconds": (time.process_time() - busy) / count,
            }
            print(name, norm, out[f"{name} {norm}"], file=sys.stderr, flush=True)
            Path(results).write_text(json.dumps(out))


if __name__ == "__main__":
    main()
