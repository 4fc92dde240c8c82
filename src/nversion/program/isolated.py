"""What runs in the process of one version: take a network, then images, and say what it says.

Started as ``python -m nversion.program.isolated LINE`` by :mod:`nversion.program.isolation`, which
it trusts; the line is an inherited socket.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from nversion.program.asking import ask, read
from nversion.program.isolation import to_wire

__all__ = ["main"]


def main(line: Connection) -> None:
    """Answer until the line is closed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the program's own process gives them
    model, megabytes = pickle.loads(line.recv_bytes())
    if megabytes is not None:
        _limit(megabytes)
    line.send("ready")
    while True:
        try:
            images, batch_size = line.recv()
        except EOFError:
            return
        shown = torch.from_numpy(images)
        line.send(to_wire(ask(read(model, tuple(shown.shape[1:])), shown, batch_size)))


def _limit(megabytes: float) -> None:
    """Let this process have so much memory more than it has."""
    import resource

    pages: Any = Path("/proc/self/statm").read_text().split()[0]
    most = int(pages) * resource.getpagesize() + int(megabytes * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
