"""Results of a study that never ran: random, but plausible, and the same for the same seed."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nversion.architectures import Architecture
from nversion.files import read_object, write_tensors
from nversion.program import plant_faults
from nversion.replication import DEFAULT_ARMS, Settings, find_arm
from nversion.replication.summary import summarise
from nversion.study.units.base import MadeFrom
from nversion.study.units.failing import MeasureFailures
from nversion.versions import load_recipe

Make = Callable[..., dict[str, Any]]

ATTACKS = {
    "gradient": (2, 0.73),
    "gradient-sign": (math.inf, 0.978),
    "deepfool": (2, 0.985),
    "adef": (2, 0.953),
    "saliency-map": (0, 0.965),
    "carlini-wagner": (2, 1.0),
    "newtonfool": (2, 0.998),
    "random-pgd": (math.inf, 1.0),
    "slsqp": (2, 0.91),
    "lbfgs": (2, 1.0),
}

CONVOLUTIONAL = "conv, 8, relu\nmaxpooling\ndropout, 0.25\nflatten\ndense, 128, relu\n"
DENSE = "flatten\ndense, 516, relu\ndropout, 0.2\ndense, 128, relu\n"
STUDENT = "conv, 32, relu\nconv, 64, relu\nmaxpooling\ndropout, 0.25\nflatten\ndense, 128, relu\n"


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval, written out a second time on purpose."""
    z = 1.959963984540054
    share = hits / tries
    centre = (share + z * z / (2 * tries)) / (1 + z * z / tries)
    half = z / (1 + z * z / tries) * math.sqrt(share * (1 - share) / tries + (z / (2 * tries)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def make_results(
    versions: int = 10, *, dataset: str = "mnist", seed: int = 0, failed: int = 0
) -> dict[str, Any]:
    """Return complete results of a study of so many versions, the last `failed` of them failed."""
    rng = np.random.default_rng([seed, versions])
    size = 13 * 9 * versions
    listed = [_version(rng, place) for place in range(1, versions + 1)]
    for version in listed[versions - failed :]:
        gone = ("train_accuracy", "test_accuracy", "adversarial_accuracy")
        version.update(dict.fromkeys((*gone, "adversarial_accuracy_own"), None))
        version.update(adversarial_accuracy_others=None, status="failed", error="the loss is NaN")
    good = [version for version in listed if version["status"] == "trained"]
    names = [version["name"] for version in good]
    singles = np.array([version["adversarial_accuracy"] for version in good])
    steps = np.arange(len(good))
    mean = singles.mean() + (0.9686 - singles.mean()) * (1 - np.exp(-steps / 4))
    width = 0.06 * np.exp(-steps / 6) * (len(good) - 1 - steps) / max(len(good) - 1, 1)
    given = np.round((mean + rng.normal(0, 0.004, len(good))) * size) / size
    given[0], mean[0], mean[-1] = singles[0], singles.mean(), given[-1]
    return {
        "study": _study(versions, dataset, seed, listed[versions - failed :]),
        "versions": listed,
        "attacks": [_attack(rng, name, 13 * len(good)) for name in ATTACKS],
        "adversarial_set": {
            "size": size,
            "per_attack": {name: 13 * versions for name in ATTACKS if name != "slsqp"},
            "per_version": dict.fromkeys(names, 117),
            "perceptibility_rule": "structural similarity of at least 0.85 to the original",
        },
        "transfer": _transfer(rng, names),
        "program": {
            "voter": "mean-softmax",
            "versions": names,
            "accuracy_by_n": given.tolist(),
            "accuracy_by_n_orders": {
                "orders": 1000,
                "mean": mean.tolist(),
                "low": (mean - width).tolist(),
                "high": np.minimum(mean + 0.6 * width, 1.0).tolist(),
            },
            "mean_individual": float(singles.mean()),
            "best_individual": float(singles.max()),
            "best_individual_name": names[int(singles.argmax())],
            "accuracy": float(given[-1]),
            "test_accuracy": 0.9911,
            "whole": _whole(names, np.random.default_rng([seed, versions, 1])),
            "faults": _faults(len(names)),
        },
        "reliability": json.loads(make_reliability(tuple(names))),
        **_distillation(rng, singles),
        "replication": make_replication(versions) if names else None,
        "by_class": _by_class(names, np.random.default_rng([seed, versions, 2])),
        "questions": _questions(good, float(given[-1])),
        "example": make_example(names[0] if names else "none"),
    }


def _faults(versions: int) -> dict[str, Any] | None:
    """Return what votes decide with faulty versions, of such that are right on most images."""
    if versions < 2:
        return None
    rng = np.random.default_rng([11, versions])
    labels = rng.integers(0, 10, 100)
    logits = rng.normal(0.0, 1.0, (versions, 100, 10))
    logits[:, np.arange(100), labels] += 4.0
    curves = plant_faults(
        torch.from_numpy(logits),
        torch.from_numpy(labels),
        ["mean-softmax", "plurality"],
        counts=range(min(versions, 4)),
        orders=2,
    )
    return {
        "images": 100,
        "orders": 2,
        "quorum": versions // 2 + 1,
        "counts": list(range(min(versions, 4))),
        "curves": [curve.to_json() for curve in curves],
    }


def _whole(names: list[str], rng: np.random.Generator) -> dict[str, Any] | None:
    """Return attacks on the program itself, as they might have gone."""
    if not names:
        return None
    images = 30
    sizes = sorted({n for n in (1, 3, 5) if n < len(names)} | {len(names)})
    subjects = [(f"program of {n}", "program", n) for n in sizes]
    subjects += [(names[0], "version", 1), ("baseline", "baseline", 1), ("student", "student", 1)]

    def found(norm: str) -> dict[str, Any]:
        scale, radii = (1.3, (0.5, 1.0, 1.5, 2.0)) if norm == "2" else (0.11, (0.1, 0.2, 0.3))
        distances = np.sort(rng.gamma(6.0, scale / 6, images)).tolist()
        shares = [sum(d > radius for d in distances) / images for radius in radii]
        ends = [wilson(round(share * images), images) for share in shares]
        return {
            "median": float(np.median(distances)),
            "low": distances[9],
            "high": distances[20],
            "distances": distances,
            "found_by": {"descent": 20, "carlini-wagner": 10},
            "holding": [
                {"radius": radius, "value": share, "low": low, "high": high}
                for radius, share, (low, high) in zip(radii, shares, ends, strict=True)
            ],
        }

    listed = [
        {"name": name, "kind": kind, "versions": n, "norms": {"2": found("2"), "inf": found("inf")}}
        for name, kind, n in subjects
    ]
    budget = {
        "predicted": 1.2,
        "measured": 1.3,
        "best_member": 1.5,
        "equal_members": 2.1,
        "cosine": 0.26,
        "cosine_for_twice": 0.17,
        "lost_to_alignment": 0.6,
        "lost_to_inequality": 0.4,
    }
    checks = [
        {"name": "more steps", "passed": True, "says": "More steps find no less."},
        {"name": "ties", "passed": False, "says": "Ties decide on 2 images."},
        {"name": "transfer", "passed": None, "says": "There is one version."},
    ]
    return {
        "images": images,
        "voter": "mean-softmax",
        "subjects": listed,
        "gains": [],
        "budget": {"2": budget},
        "checks": checks,
        "checked_versions": 5,
        "checked_images": 10,
    }


@functools.cache
def make_reliability(names: tuple[str, ...]) -> str:
    """Return what is measured of versions for which some images are harder than others, as JSON."""
    rng = np.random.default_rng([9, len(names)])
    if len(names) < 2:
        return json.dumps({"test": None, "adversarial": None, "selection": None})
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            kind: _together(rng, len(names), images, easy, Path(folder))
            for kind, images, easy in (("test", 800, 7.0), ("adversarial", 300, 4.0))
        }
    orders = {
        kind: {
            "best_first": rng.uniform(0.9, 0.97, len(names)).tolist(),
            "chosen": rng.uniform(0.9, 0.97, len(names)).tolist(),
        }
        for kind in kinds
    }
    return json.dumps({**kinds, "selection": {**_selection(list(names)), **orders}})


def _together(
    rng: np.random.Generator, versions: int, images: int, easy: float, folder: Path
) -> dict[str, Any]:
    labels = rng.integers(0, 10, images)
    own = easy * rng.random(images) ** 0.5
    answers = []
    for place in range(versions):
        logits = rng.normal(0.0, 1.0, (images, 10))
        logits[np.arange(images), labels] += own
        path = folder / f"{place}.safetensors"
        write_tensors(path, {"logits": torch.from_numpy(logits.astype(np.float32))})
        answers.append(MadeFrom(path, str(place)))
    failing = MeasureFailures(
        name="reliability",
        answers=tuple(answers),
        tensor="logits",
        labels=labels,
        originals=None,
        data="",
        resamples=20,
        orders=5,
        seed=0,
        path=folder / "failures.json",
        matrices=folder / "matrices.safetensors",
    )
    failing.run()
    curves = [
        {
            "voter": voter,
            "right": 0.97,
            "decided": 1.0,
            "area": area,
            "coverage": [0.1, 0.5, 1.0],
            "accuracy": [1.0, 0.999 * area, 0.97],
        }
        for voter, area in (("mean-logits", 0.997), ("mean-softmax", 0.996), ("plurality", 0.99))
    ]
    return {**read_object(failing.path), "voters": curves}


def _selection(names: list[str]) -> dict[str, Any]:
    def chosen(name: str, size: int) -> dict[str, Any]:
        return {
            "name": name,
            "members": names[:size],
            "train_accuracy": 0.998,
            "test_accuracy": 0.987,
            "adversarial_accuracy": 0.95,
            "distance": 1.5,
        }

    criteria = ("accuracy", "coincident-failures", "white-box")
    return {
        "images": 2000,
        "white_box_images": 100,
        "mean_accuracy": 0.994,
        "full": chosen("all", len(names)),
        "chosen": [chosen(name, 1) for name in criteria],
        "sized": [chosen(name, (len(names) + 1) // 2) for name in criteria],
    }


@functools.cache
def _replication(versions: int, pairs: int) -> str:
    """Return a replication whose vote gives larger radii, and label smoothing none, as JSON."""
    arms = ("labels", *DEFAULT_ARMS)
    rng = np.random.default_rng([4, versions, pairs])
    settings = Settings(
        tuple(find_arm(name) for name in arms),
        pairs,
        Architecture.parse("dense, 8, relu"),
        load_recipe("small"),
    )
    found = []
    for repeat, arm in itertools.product(range(pairs), arms):
        gain = 0.02 if arm == "vote" else 0.01 if arm == "one-teacher" else 0.0
        rows = {
            "test_accuracy": float(rng.normal(0.985, 0.001)),
            "certified_l1": float(rng.normal(0.2 + gain, 0.003)),
            "certified_l2": float(rng.normal(0.08 + gain, 0.002)),
            "adversarial_accuracy": float(rng.normal(0.97, 0.003)),
            "adversarial_frequency": float(rng.normal(0.98, 0.005)),
        }
        found.append({"arm": arm, "repeat": repeat, "rows": rows})
    names = [f"v{place}" for place in range(versions)]
    return json.dumps(summarise(settings, names, found).to_json())


def make_replication(versions: int, pairs: int = 8) -> dict[str, Any]:
    """Return a replication as results hold it, with the costs of asking."""
    costs = [
        ("program", versions * 200_000, versions * 3_000_000, versions * 2e-4, versions * 1e-2),
        ("student", 300_000, 5_000_000, 3e-4, 1.2e-2),
        ("baseline", 300_000, 5_000_000, 3e-4, 1.2e-2),
    ]
    heads = ("name", "parameters", "multiply_adds", "one_seconds", "batch_seconds")
    made: dict[str, Any] = json.loads(_replication(versions, pairs))
    return {**made, "costs": [dict(zip(heads, cost, strict=True)) for cost in costs]}


def _by_class(names: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return answers to 100 test images of each of ten classes."""
    if not names:
        return []
    found = []
    for name, kind in (
        ("program", "program"),
        (names[0], "version"),
        ("baseline", "baseline"),
        ("student", "student"),
    ):
        shares = np.full((10, 10), 0.002) + np.diag(np.full(10, 0.98))
        table = [rng.multinomial(100, row).tolist() for row in shares]
        found.append({"name": name, "kind": kind, "confusion": table, "abstained": [0] * 10})
    return found


def _version(rng: np.random.Generator, place: int) -> dict[str, Any]:
    dense = place % 2 == 0
    test = float(np.clip(rng.normal(0.976 if dense else 0.986, 0.006), 0.92, 0.993))
    adversarial = float(np.clip(rng.normal(0.86 if dense else 0.93, 0.035), 0.7, 0.9658))
    return {
        "name": f"{place:03d}-{'dense' if dense else 'conv'}",
        "architecture": DENSE if dense else CONVOLUTIONAL,
        "kind": "dense" if dense else "convolutional",
        "parameters": int(rng.integers(9_000, 1_200_000)),
        "status": "trained",
        "error": None,
        "train_accuracy": min(test + 0.006, 0.9999),
        "test_accuracy": round(test, 4),
        "adversarial_accuracy": adversarial,
        "adversarial_accuracy_own": float(rng.uniform(0.0, 0.08)),
        "adversarial_accuracy_others": min(adversarial + 0.009, 1.0),
        "seconds": float(rng.uniform(4, 60)),
    }


def _attack(rng: np.random.Generator, name: str, tried: int) -> dict[str, Any]:
    norm, rate = ATTACKS[name]
    wrong = int(rng.binomial(tried, 0.015))
    succeeded = int(rng.binomial(tried - wrong, rate))
    low, high = wilson(succeeded, tried - wrong)
    left_out = name == "slsqp"
    return {
        "name": name,
        "norm": "inf" if norm == math.inf else str(norm),
        "tried": tried,
        "succeeded": succeeded,
        "already_misclassified": wrong,
        "effectiveness": succeeded / (tried - wrong),
        "effectiveness_low": low,
        "effectiveness_high": high,
        "median_l0": float(rng.integers(20, 780)),
        "median_l1": float(rng.uniform(8, 70)),
        "median_l2": float(rng.uniform(0.9, 5)),
        "median_linf": float(rng.uniform(0.1, 1.0)),
        "median_ssim": float(rng.uniform(0.6, 0.98)),
        "seconds": float(rng.uniform(1, 300)),
        "in_adversarial_set": not left_out,
        "reason": "median structural similarity 0.61 is below 0.85" if left_out else None,
    }


def _transfer(rng: np.random.Generator, names: list[str]) -> dict[str, Any]:
    accuracy = np.clip(rng.normal(0.91, 0.05, (len(names), len(names))), 0.4, 1.0)
    np.fill_diagonal(accuracy, rng.uniform(0.0, 0.08, len(names)))
    return {"sources": names, "targets": names, "accuracy": accuracy.tolist()}


def make_example(version: str, size: tuple[int, ...] = (28, 28)) -> dict[str, Any]:
    """Return an image under every attack; the gradient attack failed, slsqp is left out."""
    rng = np.random.default_rng([5, *size])
    original = rng.integers(0, 256, size, dtype=np.uint8)
    attacks = []
    for name in ATTACKS:
        row: dict[str, Any] = {
            "name": name,
            "success": name != "gradient",
            "prediction": 3,
            **dict.fromkeys(("l0", "l1", "l2", "linf", "ssim")),
            "in_adversarial_set": name != "slsqp",
            "reason": "visible: median SSIM 0.350 is below 0.4" if name == "slsqp" else None,
            **dict.fromkeys(("image", "difference", "difference_scale")),
        }
        if row["success"]:
            row |= {
                "l2": float(rng.uniform(0.5, 5)),
                "linf": float(rng.uniform(0.1, 1)),
                "image": png(rng.integers(0, 256, size, dtype=np.uint8)),
                "difference": png(rng.integers(1, 256, size[:2], dtype=np.uint8)),
                "difference_scale": 0.5,
            }
        attacks.append(row)
    return {
        "version": version,
        "test_index": 12,
        "label": 7,
        "original": png(original),
        "attacks": attacks,
    }


def png(pixels: np.ndarray) -> str:
    """Return a picture as a PNG file in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _distillation(rng: np.random.Generator, singles: np.ndarray) -> dict[str, Any]:
    radii = {
        (norm, name): np.where(rng.random(200) < 0.02, 0.0, rng.gamma(9, scale / 9, 200))
        for norm, scale in (("1", 0.155), ("2", 0.077))
        for name in ("baseline", "student")
    }
    for norm in ("1", "2"):
        radii[norm, "student"] = radii[norm, "baseline"] * rng.normal(1.06, 0.05, 200).clip(0.5)
    norms = {
        norm: {
            name: {
                "mean": float(radii[norm, name].mean()),
                "median": float(np.median(radii[norm, name])),
                "radii": radii[norm, name].tolist(),
            }
            for name in ("baseline", "student")
        }
        for norm in ("1", "2")
    }
    networks = {
        name: {
            "test_accuracy": test,
            "certified_l1": norms["1"][name]["mean"],
            "certified_l2": norms["2"][name]["mean"],
            "adversarial_accuracy": adversarial,
            "adversarial_frequency": frequency,
            "attacks": {attack: float(rng.uniform(0.7, 1.0)) for attack in ATTACKS},
        }
        for name, test, adversarial, frequency in (
            ("baseline", 0.9916, 0.9604, 0.9433),
            ("student", 0.9868, 0.9535, 0.98),
        )
    }
    rank = 1 + int((singles > 0.9535).sum())
    return {
        "distillation": {
            "architecture": STUDENT,
            "recipe": "study",
            "objective": "mean squared error to the teacher's labels",
            **networks,
            "student_rank": rank,
            "rank_of": len(singles) + 1,
        },
        "certification": {
            "method": "interval bounds: sound, loose",
            "images": 200,
            "norms": norms,
            "attacked": {norm: _attacked(pair) for norm, pair in norms.items()},
            "attack_passes": 600,
        },
    }


def _attacked(certified: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return attacks that reach twenty times as far as the certificates."""
    return {
        name: {
            "median": 20 * radii["median"],
            "distances": [20 * radius for radius in radii["radii"]],
            "gap": 20.0,
            "nearer": 0,
            "passes": 420.0,
        }
        for name, radii in certified.items()
    }


def _study(
    versions: int, dataset: str, seed: int, failures: list[dict[str, Any]]
) -> dict[str, Any]:
    seconds = {
        "versions": 212.4,
        "attacks": 318.9,
        "program": 21.2,
        "distillation": 41.7,
        "certification": 12.3,
        "evaluation": 3.9,
    }
    return {
        "name": dataset,
        "dataset": dataset,
        "seed": seed,
        "versions": versions,
        "recipe": "fast",
        "voter": "mean-softmax",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "nversion": "0.1.0",
        "torch": "2.13.0",
        "device": "cpu",
        "workers": 2,
        "wall_seconds": {**seconds, "total": sum(seconds.values())},
        "failures": [
            {"unit": f"versions/{version['name']}", "error": version["error"]}
            for version in failures
        ],
        "config": {
            "data": dataset,
            "versions": versions,
            "recipe": {"name": "fast", "epochs": 3, "batch_size": 128},
            "attacks": {"names": list(ATTACKS), "images": 13},
        },
    }


def _questions(good: list[dict[str, Any]], program: float) -> list[dict[str, Any]]:
    return [
        {
            "question": "How robust are neural networks?",
            "answer": f"Not very: {len(good)} versions that are right on most test images lose "
            "accuracy on every set of adversarial images.",
            "rests_on": ["program.mean_individual", "program.test_accuracy"],
        },
        {
            "question": "Which type of adversarial attacks are most successful?",
            "answer": "Carlini and Wagner's, random-start PGD and L-BFGS succeed nearly always.",
            "rests_on": ["attacks.5.effectiveness", "attacks.7.effectiveness"],
        },
        {
            "question": "Are adversarial attacks defendable through N-version programming?",
            "answer": f"In part: the program is right on {100 * program:.2f} % of the images.",
            "rests_on": ["program.accuracy", "program.best_individual"],
        },
        {
            "question": "Can we use N-version programming to make more robust neural networks?",
            "answer": "The student's certified radii grow, its adversarial accuracy does not.",
            "rests_on": ["distillation.student.certified_l2", "distillation.student_rank"],
        },
    ]


@pytest.fixture(name="make_example", scope="session")
def _make_example() -> Callable[..., dict[str, Any]]:
    """Return :func:`make_example`."""
    return make_example


@pytest.fixture(name="png", scope="session")
def _png() -> Callable[[np.ndarray], str]:
    """Return :func:`png`."""
    return png


@pytest.fixture(scope="session")
def example() -> Make:
    """Return :func:`make_results`; every call gives results of its own."""
    return make_results
