r"""A program attacked as a whole: ours beside other libraries' attacks, on the same images.

    python benchmarks/whole.py VERSIONS --data-dir DIR --peers PYTHON --folder WORK \
        [--mora FOLDER] [--arc FOLDER]

VERSIONS is a folder of versions (``nversion train``), or of ``.safetensors`` files whose metadata
describe the layers (nets_of_others.py); PYTHON is an interpreter with ``adv-lib`` and
``adversarial-robustness-toolbox``, FOLDER a clone of MORA's or ARC's repository. For each voter and
norm: the median distance of every attack over the images that all voters get right, how many fell,
and processor seconds on one thread. A peer's images count where the program's own verdict on them
is not the label. The libraries have nothing for votes that are counted: what stands there are their
images against ``mean-softmax``, judged by the counted vote, and marked with a star; MORA and ARC
attack counted votes themselves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import nversion as nv
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.methods import Budget
from nversion.attacks.votes.program import hunt
from nversion.attacks.votes.search import Search
from nversion.models import frozen

sys.path.insert(0, str(Path(__file__).parent))
from attacks_exchange import Task, write_tasks
from nets_of_others import described

SOFT, HARD = ("mean-softmax", "mean-logits"), ("plurality", "majority")

CLONES = ("mora", "arc")

LEAST = 1e-3
"""By what share of a distance one is nearer than another."""


def networks(folder: Path) -> dict[str, nn.Module]:
    """Return the networks of a folder by name: versions, or files that describe themselves."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return {path.name: nv.Version.load(path).model for path in sorted(folder.iterdir())}
    made: dict[str, nn.Module] = {}
    for path in files:
        model = described(path)
        model.load_state_dict(load_file(path))
        made[path.stem] = model.eval()
    return made


class Watched(Search):
    """A search that keeps when its median came down.

    Attributes:
        moments: pairs of processor seconds and median distance, while all images have fallen.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.moments: list[tuple[float, float]] = []
        self._started = time.process_time()

    def see(self, *given: Any, **named: Any) -> Tensor:
        """Take note of points, and of when it was."""
        fallen = super().see(*given, **named)
        median = float(self.distances(False).quantile(0.5, interpolation="higher"))
        if median < (self.moments[-1][1] if self.moments else float("inf")):
            self.moments.append((time.process_time() - self._started, median))
        return fallen


def traced(program: nv.Program, images: Tensor, labels: Tensor, norm: str) -> list[dict[str, Any]]:
    """Return seconds and median distance after each of our methods; the vote is to be lost.

    The last entry also has when the median came down, as Watched has it.
    """
    started = time.process_time()
    trace: list[dict[str, Any]] = []
    with frozen(program):
        search = Watched(Members(program, images), images, labels, norm)
        for name, count in hunt(search, False, 0, Budget()):
            found = search.distances(False)
            trace.append(
                {
                    "method": name,
                    "images": count,
                    "seconds": time.process_time() - started,
                    "median": float(found.quantile(0.5, interpolation="higher")),
                    "fallen": int(found.isfinite().sum()),
                    "distances": found.tolist(),
                    "found_by": Counter(search.found_by(False)),
                }
            )
    trace[-1]["moments"] = search.moments
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
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each peer's attack")
    parser.add_argument("--mora", type=Path, help="a clone of MORA's repository")
    parser.add_argument("--arc", type=Path, help="a clone of ARC's repository")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    members = networks(asked.versions)
    models = list(members.values())
    data = nv.load_dataset("mnist", asked.data_dir)
    images, labels = data.test.images[: asked.images], data.test.labels[: asked.images]
    right = torch.ones_like(labels, dtype=torch.bool)
    for voter in (*SOFT, *HARD):
        right &= nv.Program(models, voter).vote(images).labels == labels
    images, labels = images[right], labels[right]
    tasks = asked.folder / "tasks.npz"
    write_tasks(tasks, {name: Task(model, images, labels) for name, model in members.items()})
    table: list[dict[str, Any]] = []
    for norm in asked.norms.split(","):
        for voter in asked.voters.split(","):
            program = nv.Program(models, voter)
            place = asked.folder / f"ours-{voter}-{norm}.json"
            if not place.is_file():
                place.write_text(json.dumps(traced(program, images, labels, norm)))
            trace = json.loads(place.read_text())
            for library, clone in _peers(asked, voter).items():
                command = [asked.peers, str(Path(__file__).parent / "whole_peers.py"), str(tasks)]
                command += [str(asked.folder / "peers"), "--voter", voter, "--norm", norm]
                command += ["--steps", str(asked.steps), "--library", library]
                command += ["--limit", str(asked.limit)]
                command += [] if clone is None else ["--clone", str(clone)]
                subprocess.run(command, check=False)
            table += _rows(program, images, labels, norm, trace, asked.folder)
    _print(table)
    (asked.folder / "table.json").write_text(json.dumps(table, indent=1))


def _peers(asked: argparse.Namespace, voter: str) -> dict[str, Path | None]:
    """Return the peers that attack a vote, each with the clone that it needs."""
    libraries = asked.libraries.split(",") if voter in SOFT and asked.libraries else []
    clones = {"mora": asked.mora, "arc": asked.arc}
    return {
        **dict.fromkeys(libraries),
        **{name: clone for name, clone in clones.items() if clone is not None},
    }


def _rows(
    program: nv.Program,
    images: Tensor,
    labels: Tensor,
    norm: str,
    trace: list[dict[str, Any]],
    folder: Path,
) -> list[dict[str, Any]]:
    voter = program.voter.name
    common = {"voter": voter, "norm": norm, "images": len(labels)}
    last = trace[-1]
    rows = [{**common, "attack": "ours", **{k: last[k] for k in ("median", "fallen", "seconds")}}]
    ours = torch.tensor(last["distances"])
    for path in sorted((folder / "peers").glob(f"*-{norm}+*.npz")):
        source, library, attack = path.stem.removesuffix(".npz").split("+")
        own = source == f"{voter}-{norm}"
        if not own and (voter in SOFT or source != f"{SOFT[0]}-{norm}" or library in CLONES):
            continue
        with np.load(path) as file:
            found, seconds = torch.from_numpy(file["images"]), float(file["seconds"])
            stopped = bool(file["stopped"])
        sizes = judged(program, images, labels, found, norm)
        median = float(sizes.quantile(0.5, interpolation="higher"))
        reached = [seconds for seconds, own in last["moments"] if own <= median]
        rows.append(
            {
                **common,
                "attack": f"{library} {attack}{'' if own else ' *'}",
                "median": median,
                "fallen": int(sizes.isfinite().sum()),
                "seconds": seconds * len(labels),
                "stopped": stopped,
                "ours_there_after": reached[0] if reached else None,
                "times_as_fast": seconds * len(labels) / reached[0] if reached else None,
                "peer_nearer": int((sizes < ours * (1 - LEAST)).sum()),
                "ours_nearer": int((ours < sizes * (1 - LEAST)).sum()),
            }
        )
    return rows


def _print(table: list[dict[str, Any]]) -> None:
    print(
        "| vote | norm | attack | fallen | median | seconds | ours there | ratio | nearer: it, we |"
    )
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in table:
        cells = [row["voter"], row["norm"], row["attack"], f"{row['fallen']}/{row['images']}"]
        cells += [_number(row["median"], 4), _number(row["seconds"], 1)]
        if row["attack"] == "ours":
            cells += ["", "", ""]
        else:
            cells += [_number(row["ours_there_after"], 1), _number(row["times_as_fast"], 1)]
            cells += [f"{row['peer_nearer']}, {row['ours_nearer']}"]
        print("| " + " | ".join(cells) + " |")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
