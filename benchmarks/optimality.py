"""How near to the best each minimum-norm attack comes, in L0, L1, L2 and Linf, beside its peers.

    python benchmarks/optimality.py --data-dir PATH_OF_MNIST --weights FOLDER --results FOLDER
        [--nets PATH_OF_FOREIGN_NETWORKS] [--images 200] [--networks student,dense,smallcnn-ddn]
        [--norms l0,l1,l2,linf] [--sides nversion,adv-lib,...] [--attacks NAME,NAME...]
        [--peers-python PYTHON] [--budget 2000] [--limit SECONDS] [--certified IMAGES]
        [--device cpu|cuda] [--shown] [--skip IMAGES] [--out FILE]

The measure is AttackBench's local optimality (Cina, Rony, Pintor, Demetrio, Demontis, Biggio, Ben
Ayed & Roli, "AttackBench: evaluating gradient-based attacks for adversarial examples", AAAI 2025):
the robust accuracy over the distance is compared with that of the best of all attacks, image by
image. With d the distances that an attack found and b the least of all, both of correctly
classified images, and e the largest b,

    optimality = sum max(0, e - d) / sum (e - b),

the area between the accuracy without attack and the attack's curve up to e, in parts of the best's.

All sides attack the same first correctly classified test images in one batch, on one thread, with
at most --budget passes for an image (forwards and backwards). Distances are measured on what the
network itself, asked again, gets wrong. Seconds are processor seconds for one image. Each attack's
result is a file in --results; what is there is not run again, so that a run can be interrupted, and
the tables are of whatever is there. The student and the dense network are trained on MNIST once and
kept in --weights; smallcnn-ddn comes from --nets (a .safetensors file with its layers as metadata).

With --device cuda all sides attack on a graphics card, in float32 without TF32; what is found is
the same but for rounding, and the seconds are then the wall clock's. What lies on the boundary may
be right or wrong there by the size of the batch: --shown takes an attack's images as it was told
when it showed them, and does not ask again.

With --certified, the first so many images are certified in L1, L2 and Linf, too, and compared with
the nearest error of all attacks (optimality_gap.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

import nversion as nv
from attacks import NETWORKS
from attacks_exchange import Task, clock, write_tasks
from nversion.files import read_tensors, write_tensors, write_text
from nversion.models import evaluate, predict
from optimality_gap import described, gap
from optimality_peers import names as peer_names
from optimality_peers import size_of

HERE = Path(__file__).parent

SHORT = {"classes": 3, "steps": 15, "refinements": 15}
"""Fewer linear programmes, for who would rather have it sooner."""

FEW = {"passes": 600}
"""Passes of nearest, for who would rather have it sooner."""

OURS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "l0": {
        "nearest": ("nearest", {"norm": "l0"}),
        "nearest-short": ("nearest", {"norm": "l0"} | FEW),
        "slp": ("slp", {"norm": "l0"}),
        "slp-short": ("slp", {"norm": "l0"} | SHORT),
        "sigma-zero": ("sigma-zero", {}),
        "fmn": ("fmn", {"norm": "l0"}),
        "pdpgd": ("pdpgd", {"norm": "l0"}),
        "saliency-map": ("saliency-map", {}),
    },
    "l1": {
        "nearest": ("nearest", {"norm": "l1"}),
        "nearest-short": ("nearest", {"norm": "l1"} | FEW),
        "slp": ("slp", {"norm": "l1"}),
        "slp-short": ("slp", {"norm": "l1"} | SHORT),
        "fmn": ("fmn", {"norm": "l1"}),
        "ead": ("ead", {}),
        "apgd-l1": ("apgd-l1", {}),
        "pdpgd": ("pdpgd", {"norm": "l1"}),
        "alma": ("alma", {"norm": "l1"}),
    },
    "l2": {
        "nearest": ("nearest", {"norm": "l2"}),
        "nearest-short": ("nearest", {"norm": "l2"} | FEW),
        "slp": ("slp", {"norm": "l2"}),
        "slp-short": ("slp", {"norm": "l2"} | SHORT),
        "fmn": ("fmn", {"norm": "l2"}),
        "apgd-targeted": ("apgd-targeted", {"norm": "l2"}),
        "alma": ("alma", {}),
        "ddn": ("ddn", {}),
        "pdgd": ("pdgd", {}),
        "pdpgd": ("pdpgd", {"norm": "l2"}),
        "superdeepfool": ("superdeepfool", {}),
        "carlini-wagner": ("carlini-wagner", {}),
        "slsqp": ("slsqp", {}),
        "lbfgs": ("lbfgs", {}),
        "deepfool": ("deepfool", {}),
        "fab": ("fab", {"norm": "l2"}),
    },
    "linf": {
        "nearest": ("nearest", {"norm": "linf"}),
        "nearest-short": ("nearest", {"norm": "linf"} | FEW),
        "slp": ("slp", {"norm": "linf"}),
        "slp-short": ("slp", {"norm": "linf"} | SHORT),
        "fmn": ("fmn", {"norm": "linf"}),
        "pdpgd": ("pdpgd", {"norm": "linf"}),
        "apgd-targeted": ("apgd-targeted", {}),
        "random-pgd": ("random-pgd", {}),
        "fab": ("fab", {"norm": "linf"}),
    },
}
"""Ours by norm: what a row is called, the attack and its options."""


def main() -> None:
    """Run what is missing and print the tables of what is there."""
    options = arguments()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    data = nv.load_dataset("mnist", root=options.data_dir)
    norms, sides = options.norms.split(","), options.sides.split(",")
    options.results.mkdir(parents=True, exist_ok=True)
    rows, gaps = [], {}
    for name in options.networks.split(","):
        task = prepared(name, data, options)
        if "nversion" in sides:
            ours(name, task, norms, options)
        if options.peers_python:
            theirs(name, task, norms, sides, options)
        found = gathered(name, task, norms, options.results, shown=options.shown)
        for norm in {row["norm"] for row in found}:
            sizes = [row["_sizes"] for row in found if row["norm"] == norm]
            best = torch.stack(sizes).amin(dim=0)
            gaps[f"{name} {norm}"] = gap(task, norm, best, options.certified)
        rows += found
    for name in options.networks.split(","):
        for norm in norms:
            table([row for row in rows if (row["network"], row["norm"]) == (name, norm)])
            certified = gaps.get(f"{name} {norm}")
            print("" if certified is None else described(certified))
    if options.out:
        kept = [{key: row[key] for key in row if not key.startswith("_")} for row in rows]
        record = {"images": options.images, "budget": options.budget, "rows": kept}
        record["certified"] = {key: value for key, value in gaps.items() if value is not None}
        write_text(options.out, json.dumps(record, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of trained networks")
    parser.add_argument("--results", type=Path, required=True, help="folder of what was found")
    parser.add_argument("--nets", type=Path, help="folder of networks that others trained")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0, help="correct images that come before")
    parser.add_argument("--networks", default="student,dense,smallcnn-ddn")
    parser.add_argument("--norms", default="l0,l1,l2,linf")
    parser.add_argument("--sides", default="nversion,adv-lib,foolbox,art,torchattacks")
    parser.add_argument("--attacks", help="only those called so")
    parser.add_argument("--peers-python", help="python that has the peers")
    parser.add_argument("--budget", type=float, default=2000.0, help="passes for an image")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds for a peer's attack")
    parser.add_argument("--certified", type=int, default=0, help="images that are certified")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--shown", action="store_true", help="do not ask the network again")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def prepared(name: str, data: nv.Dataset, options: argparse.Namespace) -> Task:
    """Return a network, from the folders if it is there, and its first correct test images."""
    foreign = options.nets / f"{name}.safetensors" if options.nets else None
    if name in NETWORKS:
        model = trained(name, data, options.weights)
    elif foreign is not None and foreign.is_file():
        with safe_open(foreign, "pt") as file:
            model = built(file.metadata()["layers"])
        model.load_state_dict(read_tensors(foreign)[0])
    else:
        raise SystemExit(f"no network is called {name}; give --nets for those of others")
    first, end = options.skip, options.skip + options.images
    images, labels = data.test.images[: 2 * end + 20], data.test.labels[: 2 * end + 20]
    rows = (predict(model.eval(), images) == labels).nonzero().squeeze(1)[first:end]
    return Task(model, images[rows], labels[rows]).to(options.device)


def trained(name: str, data: nv.Dataset, folder: Path) -> nn.Module:
    """Return a network of the attacks' benchmark."""
    architecture, path = nv.Architecture.parse(NETWORKS[name]), folder / f"{name}.safetensors"
    if not path.is_file():
        model: nn.Module = nv.train(architecture, data, recipe="fast", seed=0).model
        write_tensors(path, model.state_dict())
        return model
    model = architecture.build(data.shape, data.classes)
    model.load_state_dict(read_tensors(path)[0])
    return model


def built(text: str) -> nn.Sequential:
    """Return the network of a text such as "conv 1 32 3 relu; maxpool 2; flatten; linear 9 2"."""
    layers: list[nn.Module] = []
    for line in text.split(";"):
        kind, *rest = line.split()
        sizes = [int(one) for one in rest if one.isdigit()]
        if kind == "conv" and set(rest) - {"relu"} == set(map(str, sizes)):
            layers.append(nn.Conv2d(sizes[0], sizes[1], sizes[2]))
        elif kind == "linear":
            layers.append(nn.Linear(sizes[0], sizes[1]))
        elif kind == "maxpool":
            layers.append(nn.MaxPool2d(sizes[0]))
        elif kind == "flatten":
            layers.append(nn.Flatten())
        else:
            raise SystemExit(f"the benchmark knows no layer like {line!r}")
        if "relu" in rest:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def ours(network: str, task: Task, norms: list[str], options: argparse.Namespace) -> None:
    """Attack with nversion what is not in the results yet."""
    wanted = options.attacks.split(",") if options.attacks else None
    # What a process does once (torch imports what it needs, the layout is tried) is no attack's.
    nv.attacks.create("deepfool", steps=1)(task.model, task.images[:1], task.labels[:1])
    for norm in norms:
        for called, (name, settings) in OURS[norm].items():
            path = options.results / f"{network}+nversion+{called}+{norm}.npz"
            if path.is_file() or (wanted and called not in wanted):
                continue
            attack = nv.attacks.create(name, **settings)
            busy = clock(task)
            result = attack(task.model, task.images, task.labels)
            busy, count = clock(task) - busy, len(task.images)
            found = torch.where(result.success[:, None, None, None], result.images, torch.nan)
            median = float(size_of(found - task.images, norm).median())
            passes = (result.forwards + result.backwards) / count
            print(
                f"{path.stem}: median {median:.4g}, {passes:.0f} passes, {busy:.1f} s", flush=True
            )
            np.savez(
                path,
                images=found.cpu().numpy(),
                forwards=result.forwards / count,
                backwards=result.backwards / count,
                seconds=busy / count,
                stopped=False,
            )


def theirs(
    network: str, task: Task, norms: list[str], sides: list[str], options: argparse.Namespace
) -> None:
    """Let the peers attack what is not in the results yet."""
    wanted = options.attacks.split(",") if options.attacks else None
    keys = [key.split("/") for key in peer_names()]
    missing = [
        "/".join(key)
        for key in keys
        if key[0] in sides
        and key[2] in norms
        and (not wanted or key[1] in wanted)
        and not (options.results / f"{network}+{'+'.join(key)}.npz").is_file()
    ]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.npz"
        write_tasks(tasks, {network: task})
        script = str(HERE / "optimality_peers.py")
        command = [options.peers_python, script, str(tasks), str(options.results)]
        command += [",".join(missing), str(options.budget), str(options.limit), options.device]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def gathered(
    network: str, task: Task, norms: list[str], folder: Path, *, shown: bool = False
) -> list[dict[str, Any]]:
    """Judge all that is in the results for a network, norm by norm, and say how optimal it is."""
    rows = []
    for norm in norms:
        of_norm = []
        for path in sorted(folder.glob(f"{network}+*+{norm}.npz")):
            _, side, attack, _ = path.stem.split("+")
            with np.load(path, allow_pickle=False) as file:
                found = torch.from_numpy(file["images"]).to(task.images.device)
                numbers = {key: float(file[key]) for key in ("forwards", "backwards", "seconds")}
                stopped = bool(file["stopped"])
            if found.shape != task.images.shape:
                raise SystemExit(f"{path} is of other images; give another --results")
            sizes = judged(task, found, norm, asked=not shown).cpu()
            row: dict[str, Any] = {"network": network, "norm": norm, "side": side}
            row |= {"attack": attack}
            of_norm.append(row | numbers | {"stopped": stopped, "_sizes": sizes})
        if of_norm:
            best = torch.stack([row["_sizes"] for row in of_norm]).amin(dim=0)
            for row in of_norm:
                sizes = row["_sizes"]
                row["optimality"] = optimality(sizes, best)
                row["median"] = float(sizes.median())
                row["found"] = int(sizes.isfinite().sum())
                row["best"] = int((sizes <= 1.001 * best).sum())
                row["passes"] = row["forwards"] + row["backwards"]
        rows += of_norm
    return rows


def judged(task: Task, found: Tensor, norm: str, *, asked: bool = True) -> Tensor:
    """Return the distances of what the network gets wrong, infinite for the rest, [count]."""
    returned = ~found.flatten(1).isnan().any(dim=1)
    images = torch.where(returned[:, None, None, None], found, task.images).clamp(0.0, 1.0)
    won = returned
    if asked:
        won = returned & (evaluate(task.model, images).argmax(dim=1) != task.labels)
    return torch.where(won, size_of(images - task.images, norm), torch.inf)


def optimality(sizes: Tensor, best: Tensor) -> float:
    """Return the local optimality of an attack (see the head of this file)."""
    known = best.isfinite()
    end = best[known].amax()
    whole = (end - best[known]).sum()
    return float((end - sizes[known]).clamp(min=0.0).sum() / whole) if whole > 0 else 1.0


def table(rows: list[dict[str, Any]]) -> None:
    """Print one table, the most optimal first."""
    if not rows:
        return
    print(f"\n{rows[0]['network']}, {rows[0]['norm']}, {len(rows[0]['_sizes'])} images")
    print(f"{'side':13}{'attack':18}{'optimality':>11}{'median':>9}{'found':>6}{'best':>6}", end="")
    print(f"{'passes':>8}{'s/image':>9}")
    for row in sorted(rows, key=lambda row: -row["optimality"]):
        print(f"{row['side']:13}{row['attack']:18}{row['optimality']:11.4f}", end="")
        print(f"{row['median']:9.4f}{row['found']:6}{row['best']:6}", end="")
        print(f"{row['passes']:8.0f}{row['seconds']:9.4f}{' stopped' * row['stopped']}")


if __name__ == "__main__":
    main()
