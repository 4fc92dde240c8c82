"""Whether this installation works: what it is made of, what it finds, and tests of known answers.

Each check is a value with a verdict in words, so that a command can print it and a program can act
on it. The tests of known answers are cases in which the right number follows from arithmetic: a
linear network, for which the nearest error is at its margin over the length of its weights; votes
of networks that always say the same; and the digits, whose digest is known. They take seconds.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

import nversion
from nversion.attacks import create
from nversion.datasets import load_dataset
from nversion.errors import NVersionError
from nversion.extras import how_to_install
from nversion.program import Program
from nversion.program.dispatch import certify
from nversion.workers.number import resolve_workers

__all__ = ["Check", "check_installation"]

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "safetensors", "matplotlib", "pydantic")
EXTRAS = {
    "foolbox": "foolbox",
    "keras": "h5py",
    "onnx": "onnx",
    "pandas": "pandas",
    "parquet": "pyarrow",
    "ray": "ray",
    "transformers": "transformers",
}
"""The distributions that extras bring, by the extra's name."""

PUBLISHED = ("mnist", "fashion-mnist", "kmnist")

DIGITS = "3e176f904628b67d11e5e91bc6abfa235d3d18d29da43645aaca6bcfdc3accdb"
"""The digest of scikit-learn's digits, as they are split here."""

LEAST_SPACE = 1e9
"""Bytes of room for temporary files below which large studies may fail."""

TOLERANCE = 1e-3
"""How far a radius may be below the exact one; above it, by no more than float32 can show."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: of what was checked.
        status: "good"; "absent", for what is not there and need not be; or "bad".
        found: what was found, in words.
        remedy: what to do; empty where nothing is to be done.
    """

    name: str
    status: str
    found: str
    remedy: str = ""


def check_installation(data_dir: str | Path | None = None) -> Iterator[Check]:
    """Yield the checks of this installation, each as soon as it is done.

    Args:
        data_dir: where datasets are looked for, as ``--data-dir`` has it.
    """
    yield _versions()
    yield from _extras()
    yield _threads()
    yield _graphics_card()
    yield _temporary_space()
    for name in PUBLISHED:
        yield _dataset(name, data_dir)
    for name, test in KNOWN_ANSWERS.items():
        yield _known(name, test)


def _versions() -> Check:
    listed = [f"Python {platform.python_version()}", f"nversion {nversion.__version__}"]
    listed += [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return Check("libraries", "good", ", ".join(listed))


def _extras() -> Iterator[Check]:
    for extra, distribution in EXTRAS.items():
        try:
            found = f"{distribution} {metadata.version(distribution)}"
            yield Check(f"extra {extra}", "good", found)
        except metadata.PackageNotFoundError:
            yield Check(
                f"extra {extra}",
                "absent",
                f"{distribution} is not installed",
                f"if you need it: {how_to_install(extra)}",
            )


def _threads() -> Check:
    cores, threads = resolve_workers("auto"), torch.get_num_threads()
    found = f"{cores} workers by default, {threads} threads in this process"
    set_to = os.environ.get("OMP_NUM_THREADS")
    if set_to is not None:
        found += f", OMP_NUM_THREADS={set_to}"
    return Check("cores", "good", found)


def _graphics_card() -> Check:
    if not torch.cuda.is_available():
        return Check("graphics card", "absent", "none that this build of PyTorch can use")
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    try:
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        return Check(
            "graphics card",
            "bad",
            f"{', '.join(names)}: {error}",
            "install the build of PyTorch for its driver, or use --device cpu",
        )
    return Check("graphics card", "good", ", ".join(names))


def _temporary_space() -> Check:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_SPACE:
        remedy = "free some space, or set TMPDIR to a folder with more of it"
        return Check("temporary files", "bad", found, remedy)
    return Check("temporary files", "good", found)


def _dataset(name: str, data_dir: str | Path | None) -> Check:
    try:
        data = load_dataset(name, root=data_dir, download=False)
    except NVersionError as error:
        # It is downloaded when it is first used; the message says where else it may be put.
        return Check(f"dataset {name}", "absent", str(error))
    found = f"{len(data.train):,} training and {len(data.test):,} test images"
    return Check(f"dataset {name}", "good", found)


def _known(name: str, test: Callable[[], str | None]) -> Check:
    """Run a test of a known answer; whatever goes wrong in it is what it found."""
    try:
        wrong = test()
    except Exception as error:  # whatever it is: to say so is what this is for
        wrong = f"{type(error).__name__}: {error}"
    if wrong is None:
        return Check(f"known answer: {name}", "good", "as it must be")
    remedy = "install the versions of constraints.txt in a new environment"
    return Check(f"known answer: {name}", "bad", wrong, remedy)


def _digits() -> str | None:
    found = load_dataset("digits").digest
    return None if found == DIGITS else f"the digest of the digits is {found}, not {DIGITS}"


def _linear() -> tuple[nn.Module, Tensor, Tensor, float]:
    """Return a linear network, an image, its label, and the exact distance of its nearest error."""
    weights = torch.tensor([[0.5, -1.0, 0.25, 0.75], [-0.5, 1.0, 0.75, -0.25]])
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(torch.tensor([0.4, 0.0]))
    image = torch.tensor([0.6, 0.4, 0.5, 0.5]).reshape(1, 1, 2, 2)
    apart = weights[0] - weights[1]
    margin = float((apart * image.flatten()).sum()) + 0.4
    return (
        nn.Sequential(nn.Flatten(), layer),
        image,
        torch.tensor([0]),
        margin / apart.norm().item(),
    )


def _certificate() -> str | None:
    model, image, label, exact = _linear()
    radius = certify(model, image, label, norm=2, box=None).item()
    if exact * (1 - TOLERANCE) <= radius <= exact * (1 + 1e-6):
        return None
    return f"a linear network's radius is {radius:.6f}, and its exact one {exact:.6f}"


def _attack() -> str | None:
    model, image, label, exact = _linear()
    found = create("carlini-wagner")(model, image, label, seed=0).l2.item()
    if exact * (1 - 1e-5) <= found <= exact * 1.05:
        return None
    return f"the attack found an error at {found:.6f}, and the nearest one is at {exact:.6f}"


class _Constant(nn.Module):
    """A network that names one class, whatever it is shown."""

    logits: Tensor

    def __init__(self, named: int) -> None:
        super().__init__()
        self.register_buffer("logits", 4.0 * nn.functional.one_hot(torch.tensor(named), 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), 3) + 0 * images.flatten(1).sum(1, keepdim=True)


def _vote() -> str | None:
    images = torch.zeros(2, 1, 2, 2)
    for named, voter, right in (
        ((2, 0, 2), "majority", 2),
        ((0, 1, 2), "majority", -1),
        ((1, 1, 0), "mean-softmax", 1),
    ):
        program = Program([_Constant(one) for one in named], voter=voter)
        labels = program.vote(images).labels.tolist()
        if labels != [right, right]:
            return f"{voter} of {named} is {labels[0]}, and must be {right}"
    return None


def _same_bits() -> str | None:
    data = load_dataset("digits")
    architecture = nversion.Architecture.parse("flatten\ndense, 16, relu")
    recipe = nversion.Recipe(optimiser="adamw", learning_rate=4e-3, epochs=6, batch_size=64)
    first, second = (nversion.train(architecture, data, recipe, seed=1) for _ in range(2))
    if not all(
        map(torch.equal, first.model.state_dict().values(), second.model.state_dict().values())
    ):
        return "the same version trained twice has different weights"
    accuracy = first.record.test_accuracy
    if not math.isfinite(accuracy) or accuracy < 0.8:
        return f"a small network learns {accuracy:.0%} of the digits, and should learn 80 % or more"
    return None


KNOWN_ANSWERS: dict[str, Callable[[], str | None]] = {
    "the digits": _digits,
    "a linear network's certified radius": _certificate,
    "a linear network's nearest error": _attack,
    "votes": _vote,
    "training": _same_bits,
}
