"""Check that the environment is the one constraints.txt describes: exact versions, one torch.

Fails where an installed distribution differs from its pin, where a dependency came in without a
pin, and where a second build of torch (CUDA packages beside a processor-only build) was pulled in.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

TOOLS = {"pip", "setuptools", "wheel", "nversion"}


def canonical(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Print what is wrong and return the exit code."""
    root = Path(__file__).resolve().parents[1]
    pins = {}
    for line in (root / "constraints.txt").read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[canonical(name)] = version.strip()
    found: dict[str, list[str]] = {}
    for distribution in metadata.distributions():
        name = canonical(distribution.metadata["Name"])
        found.setdefault(name, []).append(distribution.version)
    wrong = []
    for name, versions in sorted(found.items()):
        if name in TOOLS:
            continue
        if len(set(versions)) > 1:
            wrong.append(f"{name} is installed twice: {', '.join(versions)}")
        public = versions[0].partition("+")[0]
        if name not in pins:
            if not name.startswith(("nvidia-", "triton", "cuda-")):
                wrong.append(f"{name} {versions[0]} is not pinned in constraints.txt")
        elif public != pins[name]:
            wrong.append(f"{name} is {versions[0]}, but constraints.txt pins {pins[name]}")
    if "torch" not in found:
        wrong.append("torch is not installed")
    elif "+cpu" in found["torch"][0]:
        wrong += [
            f"{name} came with a second build of torch" for name in found if "nvidia-" in name
        ]
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
