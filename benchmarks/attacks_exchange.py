"""Networks and images handed to other programs' attacks, and what comes back from them.

The peers run in Python environments of their own, without nversion. So a network travels as a
plain list of layers with its weights, and each attack's images come back as one file.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class Found(NamedTuple):
    """What a peer's attack hands back.

    Attributes:
        images: [count, ...]; NaN where the attack says that it failed.
        fields: for deformations, the L2 norm of each image's vector field in pixels, [count].
    """

    images: Tensor
    fields: Tensor | None = None


Run = Callable[[nn.Module, Tensor, Tensor], Tensor | Found]
"""Model, images and labels -> adversarial images; NaN where the attack says that it failed."""


class Task(NamedTuple):
    """A network to attack, with images that it classifies correctly."""

    model: nn.Module
    images: Tensor
    labels: Tensor

    def to(self, device: str) -> Task:
        """Return it on a device; the model itself is moved."""
        return Task(self.model.to(device), self.images.to(device), self.labels.to(device))


def clock(task: Task) -> float:
    """Return processor seconds, or where the task is on a graphics card, the wall clock's."""
    if task.images.is_cuda:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def write_tasks(path: Path, tasks: dict[str, Task]) -> None:
    """Write tasks as one .npz file without pickled objects."""
    arrays: dict[str, Any] = {}
    for name, task in tasks.items():
        arrays[f"{name}/layers"] = json.dumps([described(layer) for layer in task.model.children()])
        arrays[f"{name}/images"] = task.images.cpu().numpy()
        arrays[f"{name}/labels"] = task.labels.cpu().numpy()
        for key, value in task.model.state_dict().items():
            arrays[f"{name}/weights/{key}"] = value.cpu().numpy()
    np.savez(path, **arrays)


def described(layer: nn.Module) -> dict[str, Any]:
    """Return a layer's kind and sizes."""
    if isinstance(layer, nn.Conv2d):
        sizes = [layer.in_channels, layer.out_channels, layer.kernel_size[0]]
        sizes += [layer.stride[0], int(layer.padding[0])]
        return {"kind": "Conv2d", "sizes": sizes}
    if isinstance(layer, nn.Linear):
        return {"kind": "Linear", "sizes": [layer.in_features, layer.out_features]}
    if isinstance(layer, nn.MaxPool2d):
        return {"kind": "MaxPool2d", "sizes": [layer.kernel_size]}
    if isinstance(layer, nn.ReLU | nn.Flatten | nn.Dropout):
        return {"kind": type(layer).__name__, "sizes": []}
    raise TypeError(f"the benchmark's networks have no layer of the kind {type(layer).__name__}")


def read_tasks(path: Path) -> dict[str, Task]:
    """Read what :func:`write_tasks` wrote."""
    tasks = {}
    with np.load(path, allow_pickle=False) as file:
        for name in dict.fromkeys(key.split("/")[0] for key in file.files):
            layers = json.loads(str(file[f"{name}/layers"]))
            model = nn.Sequential(*(getattr(nn, one["kind"])(*one["sizes"]) for one in layers))
            start = f"{name}/weights/"
            weights = {
                key.removeprefix(start): torch.from_numpy(file[key])
                for key in file.files
                if key.startswith(start)
            }
            model.load_state_dict(weights)
            images, labels = file[f"{name}/images"], file[f"{name}/labels"]
            tasks[name] = Task(model.eval(), torch.from_numpy(images), torch.from_numpy(labels))
    return tasks


def run_all(
    tasks: dict[str, Task], runs: dict[tuple[str, str], Run], folder: Path, limit: float
) -> None:
    """Run each (peer, attack) on each task; write images and seconds into `folder`.

    What is there already is not run again. An attack that has taken `limit` processor seconds is
    stopped, and found nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGPROF, _stop)
    for network, task in tasks.items():
        for (peer, attack), run in runs.items():
            path = folder / f"{network}+{peer}+{attack}.npz"
            if path.is_file():
                continue
            wall, busy = time.perf_counter(), time.process_time()
            stopped = False
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                found = run(task.model, task.images.clone(), task.labels.clone())
            except TimeoutError:
                stopped, found = True, torch.full_like(task.images, torch.nan)
            except Exception as error:
                print(f"{network}: {peer}'s {attack} broke off: {error!r}", flush=True)
                continue
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0.0)
            busy, wall = time.process_time() - busy, time.perf_counter() - wall
            found = found if isinstance(found, Found) else Found(found)
            fields: dict[str, Any] = (
                {} if found.fields is None else {"fields": found.fields.numpy()}
            )
            ended = "was stopped after" if stopped else "took"
            print(f"{network}: {peer}'s {attack} {ended} {busy:.1f} s", flush=True)
            np.savez(
                path,
                images=found.images.detach().numpy().astype(np.float32),
                seconds=busy / len(task.images),
                wall_seconds=wall / len(task.images),
                stopped=stopped,
                **fields,
            )


def _stop(*_: object) -> None:
    raise TimeoutError
