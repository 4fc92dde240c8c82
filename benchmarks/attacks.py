"""Every attack beside Foolbox 2.4, Foolbox 3, ART and torchattacks: successes, distances, seconds.

    python benchmarks/attacks.py --data-dir PATH_OF_MNIST --weights FOLDER [--images 13]
        [--networks student,small,dense] [--attacks NAME,NAME...] [--out FILE]
        [--peers-python PYTHON] [--foolbox2-python PYTHON] [--peer-results FOLDER]
        [--limit SECONDS]

Three networks (the study's student, a small convolutional and a dense one) are trained on MNIST
once and kept in FOLDER. All sides attack the same first correctly classified test images, one
thread each, with the study's options. Peers run in environments of their own: --peers-python has
any of foolbox 3, adversarial-robustness-toolbox and torchattacks, --foolbox2-python has
foolbox==2.4.0 with numpy==1.26.4. What they returned is kept in --peer-results, where results that
are there already are taken over, so that an interrupted run can go on and ours can be measured
again alone. A peer's attack that has taken --limit processor seconds is stopped.

An image counts as a success if the network, evaluated on exactly what came back, misclassifies it;
"stored" says how many still are after rounding to 8 bits; "silent" counts images that came back as
results but are not adversarial. Distances are medians in the attack's own norm, L2 and Linf; the
ratio sets ours to a peer's on the images that both solve, at or below 1 being the goal. Seconds are
processor seconds per image, which other work on the machine disturbs less.

Two attacks have measures of their own: adef the L2 norm of the vector field beside the image's,
saliency-map the pixels changed and L2. Below each table their medians are set beside a peer's on
the images that both solve, with the geometric mean of the images' ratios and how many are worse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nversion as nv
from attacks_exchange import Task, write_tasks
from nversion.attacks.adef import ADef
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import STUDY_ORDER
from nversion.attacks.verification import eight_bit
from nversion.files import read_tensors, write_tensors, write_text
from nversion.models import evaluate, frozen, predict

NETWORKS = {
    "student": "conv 32 relu\nconv 64 relu\nmaxpooling\ndropout 0.25\nflatten\n"
    "dense 128 relu\ndropout 0.5",
    "small": "conv 8 relu\nconv 16 relu\nmaxpooling\nflatten\ndense 32 relu",
    "dense": "flatten\ndense 128 relu\ndense 128 relu",
}
SUITE = tuple(name for name in STUDY_ORDER if name != "slsqp")
HERE = Path(__file__).parent
MEASURES = {"adef": ("field", "l2"), "saliency-map": ("l0", "l2")}
"""What else than one norm these attacks are measured by."""


def main() -> None:
    """Run all sides and print the tables."""
    options = arguments()
    torch.set_num_threads(1)
    data = nv.load_dataset("mnist", root=options.data_dir)
    tasks = {name: task(name, data, options) for name in options.networks.split(",")}
    attacks = options.attacks.split(",")
    rows = [row for name in tasks for row in ours(name, tasks[name], attacks, options.storable)]
    with tempfile.TemporaryDirectory() as folder:
        results = options.peer_results or Path(folder) / "results"
        peers(tasks, attacks, options, results, Path(folder))
        if results.is_dir():
            rows += [row for name in tasks for row in theirs(name, tasks[name], attacks, results)]
    for row in rows:
        compare(row, rows)
    report(rows, list(tasks), attacks)
    if options.out:
        kept = [{key: row[key] for key in row if not key.startswith("_")} for row in rows]
        record = {"images": options.images, "threads": 1, "rows": kept}
        write_text(options.out, json.dumps(record, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of trained networks")
    parser.add_argument("--images", type=int, default=13)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--attacks", default=",".join(STUDY_ORDER))
    parser.add_argument("--storable", action="store_true", help="ours must survive 8-bit storage")
    parser.add_argument("--peers-python", help="python with foolbox 3, art, torchattacks")
    parser.add_argument("--foolbox2-python", help="python with foolbox 2.4")
    parser.add_argument("--peer-results", type=Path, help="folder to keep what peers returned in")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a peer's attack")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def task(name: str, data: nv.Dataset, options: argparse.Namespace) -> Task:
    """Return a trained network, from the folder of weights if it is there, and its images."""
    architecture = nv.Architecture.parse(NETWORKS[name])
    path = options.weights / f"{name}.safetensors"
    if path.is_file():
        model: nn.Module = architecture.build(data.shape, data.classes)
        model.load_state_dict(read_tensors(path)[0])
    else:
        model = nv.train(architecture, data, recipe="fast", seed=0).model
        write_tensors(path, model.state_dict())
    count = options.images
    images, labels = data.test.images[: 2 * count + 20], data.test.labels[: 2 * count + 20]
    rows = (predict(model.eval(), images) == labels).nonzero().squeeze(1)[:count]
    return Task(model, images[rows], labels[rows])


def ours(network: str, given: Task, attacks: list[str], storable: bool) -> list[dict[str, Any]]:
    """Attack with nversion."""
    rows = []
    for name in attacks:
        attack = nv.attacks.create(name)
        wall, busy = time.perf_counter(), time.process_time()
        result = attack(given.model, given.images, given.labels, storable=storable)
        busy, wall = time.process_time() - busy, time.perf_counter() - wall
        found = torch.where(result.success[:, None, None, None], result.images, torch.nan)
        row = judged(given, found, attack.norm)
        if isinstance(attack, ADef):
            with frozen(given.model):
                fields = attack.fields(Oracle(given.model), given.images, given.labels)
            row["_distances"]["field"] = fields.double().flatten(1).norm(dim=1)
        count = len(given.images)
        row |= {"network": network, "attack": name, "side": "nversion"}
        row |= {"seconds": busy / count, "wall_seconds": wall / count}
        row |= {"forwards": result.forwards / count, "backwards": result.backwards / count}
        rows.append(row)
        print(f"{network}: nversion's {name} took {busy:.2f} s", flush=True)
    return rows


def peers(
    tasks: dict[str, Task],
    attacks: list[str],
    options: argparse.Namespace,
    results: Path,
    folder: Path,
) -> None:
    """Let the peers attack what is not in `results` yet."""
    for python, script, sides in (
        (options.foolbox2_python, "attacks_foolbox2.py", ("foolbox2",)),
        (options.peers_python, "attacks_peers.py", ("foolbox3", "art", "torchattacks")),
    ):
        for network, given in tasks.items() if python else ():
            there = {path.stem for path in results.glob(f"{network}+*.npz")}
            wanted = [
                name
                for name in attacks
                if not all(f"{network}+{side}+{name}" in there for side in sides)
            ]
            if wanted:
                path = folder / "task.npz"
                write_tasks(path, {network: given})
                command = [python, str(HERE / script), str(path), str(results)]
                command += [",".join(wanted), str(options.limit)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def theirs(network: str, given: Task, attacks: list[str], folder: Path) -> list[dict[str, Any]]:
    """Judge what the peers returned."""
    rows = []
    for path in sorted(folder.glob(f"{network}+*.npz")):
        _, side, name = path.stem.split("+")
        if name not in attacks:
            continue
        with np.load(path, allow_pickle=False) as file:
            found = torch.from_numpy(file["images"])
            seconds = {key: float(file[key]) for key in ("seconds", "wall_seconds")}
            stopped = "stopped" in file and bool(file["stopped"])
            fields = torch.from_numpy(file["fields"]).double() if "fields" in file else None
        row = judged(given, found, nv.attacks.create(name).norm)
        if fields is not None:
            row["_distances"]["field"] = fields
        row |= {"network": network, "attack": name, "side": side, "stopped": stopped}
        rows.append(row | seconds)
    return rows


def judged(given: Task, found: Tensor, norm: str) -> dict[str, Any]:
    """Evaluate the network on what came back (NaN: nothing) and measure the distances."""
    if found.shape != given.images.shape:
        raise ValueError("the peer's results are for other images; use another --peer-results")
    returned = ~found.flatten(1).isnan().any(dim=1)
    images = torch.where(returned[:, None, None, None], found, given.images).clamp(0.0, 1.0)
    won = returned & (evaluate(given.model, images).argmax(dim=1) != given.labels)
    stored = won & (evaluate(given.model, eight_bit(images)).argmax(dim=1) != given.labels)
    changes = (images - given.images).double().flatten(1).abs()
    distances = {
        # Peers leave rounding noise on pixels that they did not mean to change.
        "l0": (changes > 1e-6).sum(dim=1).double(),
        "l1": changes.sum(dim=1),
        "l2": changes.square().sum(dim=1).sqrt(),
        "linf": changes.amax(dim=1),
    }
    medians = {key: float(value[won].median()) for key, value in distances.items() if won.any()}
    return {
        "norm": norm,
        "tried": len(given.images),
        "success": int(won.sum()),
        "stored": int(stored.sum()),
        "silent": int((returned & ~won).sum()),
        **medians,
        "_won": won,
        "_distances": distances,
    }


def compare(row: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Set ours to a peer's row: the ratio of median distances on the images that both solve."""
    if row["side"] == "nversion":
        return
    place = (row["network"], row["attack"], "nversion")
    for own in rows:
        if (own["network"], own["attack"], own["side"]) == place:
            both = own["_won"] & row["_won"]
            if both.any():
                row["ratio"] = beside(own, row, row["norm"], both)["ratio"]
                row["measures"] = {
                    measure: beside(own, row, measure, both)
                    for measure in MEASURES.get(row["attack"], ())
                    if measure in row["_distances"]
                }
            row["speed"] = row["seconds"] / own["seconds"]


def beside(
    own: dict[str, Any], row: dict[str, Any], measure: str, both: Tensor
) -> dict[str, float]:
    """Set our distances by one measure beside a peer's, on the images that both solve."""
    mine, other = own["_distances"][measure][both], row["_distances"][measure][both]
    return {
        "ours": float(mine.median()),
        "theirs": float(other.median()),
        "ratio": float(mine.median() / other.median()),
        "mean_ratio": float((mine / other).log().mean().exp()),
        "worse": int((mine > 1.0001 * other).sum()),
        "images": int(both.sum()),
    }


def report(rows: list[dict[str, Any]], networks: list[str], attacks: list[str]) -> None:
    """Print one table for each network, and the suite's seconds."""
    for network in networks:
        print(f"\n{network}")
        print(f"{'attack':16}{'side':14}{'success':>8}{'stored':>7}{'silent':>7}{'own':>9}", end="")
        print(f"{'L2':>8}{'Linf':>7}{'s/image':>9}{'ratio':>7}{'speed':>7}")
        for name in attacks:
            for row in rows:
                if (row["network"], row["attack"]) == (network, name):
                    print_row(row)
        for row in rows:
            if row["network"] == network:
                print_measures(row)
        for side in dict.fromkeys(row["side"] for row in rows):
            of_suite = [
                row
                for row in rows
                if (row["network"], row["side"]) == (network, side) and row["attack"] in SUITE
            ]
            if len(of_suite) == len(SUITE):
                seconds = sum(row["seconds"] * row["tried"] for row in of_suite)
                print(f"suite of nine x {of_suite[0]['tried']} images, {side}: {seconds:.2f} s")


def print_measures(row: dict[str, Any]) -> None:
    """Print an attack's own measures beside a peer's."""
    for measure, both in row.get("measures", {}).items():
        print(f"{row['attack']} by {measure:5} beside {row['side']:10}", end="")
        print(f"{both['ours']:8.3f}{both['theirs']:8.3f} ratio {both['ratio']:.3f}", end="")
        print(f" image by image {both['mean_ratio']:.3f}", end="")
        print(f", worse on {both['worse']} of {both['images']}")


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    nothing = float("nan")
    own, l2, linf = (row.get(key, nothing) for key in (row["norm"], "l2", "linf"))
    if row.get("stopped"):
        spent = row["seconds"] * row["tried"]
        print(f"{row['attack']:16}{row['side']:14} stopped after {spent:.0f} s")
        return
    print(f"{row['attack']:16}{row['side']:14}{row['success']:5}/{row['tried']:<2}", end="")
    print(f"{row['stored']:7}{row['silent']:7}{own:9.4f}{l2:8.3f}{linf:7.3f}", end="")
    print(f"{row['seconds']:9.4f}{row.get('ratio', nothing):7.3f}{row.get('speed', nothing):7.1f}")


if __name__ == "__main__":
    main()
