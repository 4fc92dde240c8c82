"""Certified radii and seconds per image, beside CNN-Cert and auto_LiRPA in the same run.

    python benchmarks/certification.py --data-dir PATH_OF_MNIST --weights FOLDER [--out FILE]
        [--cnn-cert CLONE --cnn-cert-python PYTHON] [--auto-lirpa CLONE --auto-lirpa-python PYTHON]

Four networks (the study's student among them) are trained once and kept in FOLDER. On the first
correctly classified test images each method certifies radii in L1, L2 and Linf, one thread each.
nversion and auto_LiRPA certify against all nine classes. CNN-Cert certifies one target, the random
one of its own protocol; for the comparison of radii nversion is also run on those targets, while
the comparison of seconds sets nversion's nine against CNN-Cert's one. Seconds are processor
seconds, which other work on the machine disturbs less; look at the ratios. On the student the peers
and the method alpha get fewer images (``--student-images``), and ratios are over the same images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import nversion as nv
from nversion.certification import certify
from nversion.models import evaluate

NETWORKS = {
    "dense": "flatten\ndense 128 relu\ndense 128 relu",
    "conv": "conv 5 relu\nconv 5 relu\nconv 5 relu\nflatten",
    "pooled": "conv 8 relu\nconv 16 relu\nmaxpooling\nflatten\ndense 32 relu",
    "student": "conv 32 relu\nconv 64 relu\nmaxpooling\ndropout 0.25\nflatten\n"
    "dense 128 relu\ndropout 0.5",
}
NORMS = ("1", "2", "inf")
HERE = Path(__file__).parent


def main() -> None:
    """Measure all methods and print the tables."""
    parser = argparse.ArgumentParser(description="Certified radii and seconds per image.")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument(
        "--student-images", type=int, default=3, help="for the peers and alpha, which are slow"
    )
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--cnn-cert")
    parser.add_argument("--cnn-cert-python", default=sys.executable)
    parser.add_argument("--auto-lirpa")
    parser.add_argument("--auto-lirpa-python", default=sys.executable)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = nv.load_dataset("mnist", root=options.data_dir)
    models = {name: trained(name, data, options.weights) for name in options.networks.split(",")}
    cases = {name: chosen(model, data, options.images) for name, model in models.items()}
    results: dict[str, Any] = {"nversion": ours(models, cases, options.student_images)}
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.npz"
        write_tasks(tasks, models, cases, options.student_images)
        for peer in ("cnn-cert", "auto-lirpa"):
            clone = getattr(options, peer.replace("-", "_"))
            if clone:
                python = getattr(options, f"{peer.replace('-', '_')}_python")
                script = HERE / f"certification_{peer.replace('-', '_')}.py"
                found = Path(folder) / "results.json"
                command = [python, str(script), clone, str(tasks), str(found)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                results[peer] = json.loads(found.read_text())
    report(list(models), results)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def trained(name: str, data: Any, folder: Path) -> nn.Module:
    """Return a trained network, from `folder` if it is there."""
    path = folder / f"{name}.safetensors"
    architecture = nv.Architecture.parse(NETWORKS[name])
    model: nn.Module = architecture.build(data.shape, data.classes)
    if not path.exists():
        version = nv.train(architecture, data, recipe="fast", seed=0)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {key: value.contiguous() for key, value in version.model.state_dict().items()}
        save_file(weights, path)
    model.load_state_dict(load_file(path))
    return model.eval()


def chosen(model: nn.Module, data: Any, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first correctly classified test images, labels and CNN-Cert's random targets."""
    images, labels = data.test.images[: 4 * count], data.test.labels[: 4 * count]
    logits = evaluate(model, images)
    rows = (logits.argmax(dim=1) == labels).nonzero().squeeze(1)[:count]
    order = logits[rows].argsort(dim=1, descending=True)
    draw = torch.randint(2, 9, (len(rows), 1), generator=torch.Generator().manual_seed(0))
    return images[rows], labels[rows], order.gather(1, draw).squeeze(1)


def ours(
    models: dict[str, nn.Module],
    cases: dict[str, tuple[Tensor, Tensor, Tensor]],
    student_images: int,
) -> Any:
    """Certify all cases with nversion; alpha on the student on fewer images."""
    results = {}
    for name, model in models.items():
        # What a process does once is no part of the first network's seconds.
        images, labels, _ = (x[:1] for x in cases[name])
        certify(model, images, labels, NORMS[0], box=None)
        for norm in NORMS:
            variants: dict[str, dict[str, Any]] = {
                "plain": {"box": None},
                "box": {},
                "one target": {"box": None, "target": None},
                "alpha": {"box": None, "method": "alpha"},
            }
            for key, options in variants.items():
                few = student_images if (name, key) == ("student", "alpha") else None
                images, labels, targets = (x[:few] for x in cases[name])
                if "target" in options:
                    options = {**options, "target": targets}
                start, busy = time.perf_counter(), time.process_time()
                radii = certify(model, images, labels, norm, **options)
                results[f"{name} {norm} {key}"] = {
                    "radii": radii.tolist(),
                    "seconds": (time.perf_counter() - start) / len(images),
                    "processor_seconds": (time.process_time() - busy) / len(images),
                }
    return results


def write_tasks(
    path: Path,
    models: dict[str, nn.Module],
    cases: dict[str, tuple[Tensor, Tensor, Tensor]],
    student_images: int,
) -> None:
    """Write networks and images in a form that needs none of nversion."""
    arrays: dict[str, Any] = {}
    plan: dict[str, Any] = {"networks": {}, "norms": NORMS, "peer_images": {}}
    for name, model in models.items():
        layers: list[dict[str, str]] = []
        for module in model.modules():
            kind = {nn.Conv2d: "conv", nn.Linear: "dense", nn.ReLU: "relu", nn.MaxPool2d: "pool"}
            if type(module) not in kind:
                continue
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert module.bias is not None
                arrays[f"{name}.{len(layers)}.weight"] = module.weight.detach().numpy()
                arrays[f"{name}.{len(layers)}.bias"] = module.bias.detach().numpy()
            layers.append({"kind": kind[type(module)]})
        plan["networks"][name] = layers
        for key, tensor in zip(("images", "labels", "targets"), cases[name], strict=True):
            arrays[f"{name}.{key}"] = tensor.numpy()
        count = len(cases[name][0])
        plan["peer_images"][name] = min(count, student_images) if name == "student" else count
    np.savez(path, plan=json.dumps(plan), **arrays)


def mean(radii: list[float]) -> float:
    """Return the mean."""
    return sum(radii) / len(radii)


def report(names: list[str], results: dict[str, Any]) -> None:
    """Print one line per network and norm, the ratios with the peers at its end."""
    own = results["nversion"]
    print("mean radius (processor seconds per image); ratios are nversion's over the peer's")
    for name in names:
        for norm in NORMS:
            cells = {k: own[f"{name} {norm} {k}"] for k in ("plain", "box", "one target", "alpha")}
            line = f"{name:8} L{norm:4}"
            for key, cell in cells.items():
                line += f" {key} {mean(cell['radii']):.5f} ({cell['processor_seconds']:.4f})"
            plain, alpha = cells["plain"]["radii"], cells["alpha"]["radii"]
            line += f" alpha/plain {mean(alpha) / mean(plain[: len(alpha)]):.3f}"
            line += f" box/plain {mean(cells['box']['radii']) / mean(cells['plain']['radii']):.2f}"
            print(line)
            for peer, against in (("cnn-cert", "one target"), ("auto-lirpa", "plain")):
                if peer not in results:
                    continue
                theirs = results[peer][f"{name} {norm}"]
                count = len(theirs["radii"])
                tighter = mean(cells[against]["radii"][:count]) / mean(theirs["radii"])
                faster = theirs["processor_seconds"] / cells["plain"]["processor_seconds"]
                print(
                    f"    {peer:10} {mean(theirs['radii']):.5f} "
                    f"({theirs['processor_seconds']:.4f}), radius x{tighter:.3f}, "
                    f"speed x{faster:.1f}"
                )


if __name__ == "__main__":
    main()
