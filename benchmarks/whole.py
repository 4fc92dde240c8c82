"""A program attacked as a whole: ours beside other libraries' attacks, on the same images.

    python benchmarks/whole.py VERSIONS --data-dir DIR --peers PYTHON --folder WORK

VERSIONS is a folder of versions (``nversion train``), PYTHON an interpreter with ``adv-lib`` and
``adversarial-robustness-toolbox``. For each soft voter and norm: the median distance of every
attack over the images that the vote gets right, how many fell, and processor seconds on one
thread. A peer's images count where the program's own verdict on them is not the label. Hard voters
have no such peers: theirs are the peers' images against ``mean-softmax``, judged by the hard vote.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import nversion as nv
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.methods import Budget, methods_for
from nversion.attacks.votes.program import GAIN, PATIENCE
from nversion.attacks.votes.search import Search
from nversion.models import frozen

sys.path.insert(0, str(Path(__file__).parent))
from attacks_exchange import Task, write_tasks

SOFT, HARD = ("mean-softmax", "mean-logits"), ("majority",)


def traced(program: nv.Program, images: Tensor, labels: Tensor, norm: str) -> list[dict[str, Any]]:
    """Return seconds and median distance after each of our methods; the vote is to be lost."""
    started = time.process_time()
    trace: list[dict[str, Any]] = []
    with frozen(program):
        members = Members(program, images)
        search = Search(members, images, labels, norm)
        idle = torch.zeros_like(labels)
        for method in methods_for(search, False, 0, Budget()):
            before = search.distances(False)
            wanted = before.isinf() if method.last_resort else (idle < PATIENCE) | before.isinf()
            rows = wanted.nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            search.begin(method.name)
            method.run(rows)
            after = search.distances(False)
            idle[rows] = torch.where(after[rows] < (1 - GAIN) * before[rows], 0, idle[rows] + 1)
            trace.append(
                {
                    "method": method.name,
                    "images": len(rows),
                    "seconds": time.process_time() - started,
                    "median": float(after.quantile(0.5)) if after.isfinite().all() else None,
                    "fallen": int(after.isfinite().sum()),
                    "distances": after.tolist(),
                }
            )
    return trace


def judged(program: nv.Program, images: Tensor, labels: Tensor, found: Tensor, norm: str) -> Tensor:
    """Return the distances of a peer's images where the program's verdict is lost; else inf."""
    usable = ~found.flatten(1).isnan().any(dim=1)
    points = torch.where(usable[:, None, None, None], found, images).clamp(0, 1)
    lost = (program.vote(points).labels != labels) & usable
    changes = (points.double() - images.double()).flatten(1)
    sizes = changes.norm(dim=1) if norm == "l2" else changes.abs().amax(dim=1)
    return torch.where(lost, sizes, torch.inf)


def main() -> None:
    """Run everything that is not there yet, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--norms", default="l2,linf")
    parser.add_argument("--voters", default=",".join((*SOFT, *HARD)))
    parser.add_argument("--libraries", default="adv-lib,art")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    versions = [nv.Version.load(path) for path in sorted(asked.versions.iterdir())]
    models = [version.model for version in versions]
    data = nv.load_dataset("mnist", asked.data_dir)
    images, labels = data.test.images[: asked.images], data.test.labels[: asked.images]
    right = torch.ones_like(labels, dtype=torch.bool)
    for voter in (*SOFT, *HARD):
        right &= nv.Program(models, voter).vote(images).labels == labels
    images, labels = images[right], labels[right]
    tasks = asked.folder / "tasks.npz"
    write_tasks(tasks, {one.name: Task(one.model, images, labels) for one in versions})
    table: list[dict[str, Any]] = []
    for norm in asked.norms.split(","):
        for voter in asked.voters.split(","):
            program = nv.Program(models, voter)
            place = asked.folder / f"ours-{voter}-{norm}.json"
            if not place.is_file():
                place.write_text(json.dumps(traced(program, images, labels, norm)))
            trace = json.loads(place.read_text())
            for library in asked.libraries.split(",") if voter in SOFT else ():
                command = [asked.peers, str(Path(__file__).parent / "whole_peers.py"), str(tasks)]
                command += [str(asked.folder / "peers"), "--voter", voter, "--norm", norm]
                command += ["--steps", str(asked.steps), "--library", library]
                subprocess.run(command, check=False)
            source = voter if voter in SOFT else SOFT[0]
            table += _rows(program, images, labels, norm, voter, source, trace, asked.folder)
    print(json.dumps(table, indent=1))
    (asked.folder / "table.json").write_text(json.dumps(table, indent=1))


def _rows(
    program: nv.Program,
    images: Tensor,
    labels: Tensor,
    norm: str,
    voter: str,
    source: str,
    trace: list[dict[str, Any]],
    folder: Path,
) -> list[dict[str, Any]]:
    common = {"voter": voter, "norm": norm, "images": len(labels)}
    last = trace[-1]
    rows = [{**common, "attack": "ours", **{k: last[k] for k in ("median", "fallen", "seconds")}}]
    ours = torch.tensor(last["distances"])
    for path in sorted((folder / "peers").glob(f"{source}-{norm}+*.npz")):
        with np.load(path) as file:
            found, seconds = torch.from_numpy(file["images"]), float(file["seconds"])
        sizes = judged(program, images, labels, found, norm)
        median = float(sizes.quantile(0.5))
        reached = [step["seconds"] for step in trace if (step["median"] or np.inf) <= median]
        rows.append(
            {
                **common,
                "attack": " ".join(path.stem.split("+")[1:]) + ("" if source == voter else " *"),
                "median": median,
                "fallen": int(sizes.isfinite().sum()),
                "seconds": seconds * len(labels),
                "ours_there_after": reached[0] if reached else None,
                "nearer_than_ours": int((sizes < ours * 0.999).sum()),
            }
        )
    return rows


if __name__ == "__main__":
    main()
