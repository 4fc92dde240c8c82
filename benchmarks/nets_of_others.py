"""Factories for weights whose metadata describe their layers, one for each file of a folder.

The folder is named by the environment variable NETS. For ``eran-6x100.safetensors`` in it, the
factory is ``nets_of_others:eran_6x100``, as ``--input factory=...`` names it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn

__all__ = ["described"]


def described(path: Path) -> nn.Sequential:
    """Return the network that a file's metadata describe, without its weights.

    The layers stand with ``;`` between them: ``conv IN OUT KERNEL [stride S padding P] [relu]``,
    ``linear IN OUT [relu]``, ``maxpool SIZE``, ``flatten``.
    """
    with safe_open(path, "pt") as file:
        text = file.metadata()["layers"]
    layers: list[nn.Module] = []
    for part in (piece.strip() for piece in text.split(";")):
        kind, *words = part.split()
        numbers: Any = [int(word) for word in words if word.isdigit()]
        if kind == "conv":
            layers.append(nn.Conv2d(*numbers))  # inputs, outputs, kernel, stride, padding
        elif kind == "linear":
            layers.append(nn.Linear(*numbers))
        else:
            layers.append(nn.MaxPool2d(*numbers) if kind == "maxpool" else nn.Flatten())
        layers += [nn.ReLU()] if "relu" in words else []
    return nn.Sequential(*layers)


def __getattr__(name: str) -> Callable[[], nn.Sequential]:
    for path in Path(os.environ.get("NETS", ".")).glob("*.safetensors"):
        if path.stem.replace("-", "_") == name:
            return functools.partial(described, path)
    raise AttributeError(f"no such file: {name}.safetensors in NETS")
