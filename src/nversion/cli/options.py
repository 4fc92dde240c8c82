"""Options that several commands have, and what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nversion.cli import choices
from nversion.errors import InputError

__all__ = [
    "VOTERS",
    "AddressOption",
    "DataDirOption",
    "DeviceOption",
    "EngineOption",
    "FirstImagesOption",
    "InputOption",
    "JsonOption",
    "KOption",
    "QuorumOption",
    "TrustOption",
    "WorkersOption",
    "attack_setting_option",
    "check_address",
    "data_option",
    "voter_option",
]

WorkersOption = Annotated[
    str,
    typer.Option(help="Workers, or auto for one per core.", callback=choices.workers),
]

EngineOption = Annotated[
    str,
    typer.Option(
        callback=choices.one_of(*choices.ENGINES),
        help="What runs them: processes of this machine, threads of this process, ray, or auto "
        "for threads with a graphics card and processes without.",
    ),
]

AddressOption = Annotated[
    str, typer.Option(help="Of a running Ray cluster; without it Ray starts on this machine.")
]

DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where networks compute: cpu, cuda, or auto for cuda if there is a card.",
        callback=choices.one_of(*choices.DEVICES),
    ),
]

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where the dataset's files are.", show_default=False, exists=True, file_okay=False
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

KOption = Annotated[
    int | None,
    typer.Option("--k", help="Votes that the voter k-of-n asks for.", show_default=False),
]

QuorumOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Versions that must have a voice, or the program abstains. [default: more than half]",
        show_default=False,
    ),
]

FirstImagesOption = Annotated[int, typer.Option(min=1, help="The first test images, so many.")]

InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[FILE:]KEY=VALUE,...",
        help="How networks from elsewhere are fed: size=1x28x28, layout=nhwc, range=0:255, mean, "
        "std, outputs=probabilities, key, classes; before version.toml beside a file. May be "
        "repeated.",
        show_default=False,
    ),
]

TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Run the code that comes with a file (TorchScript, factories)."),
]

VOTERS = f"{', '.join(choices.VOTERS)}, or a plugin's"
"""For help texts."""


def data_option(trained: str = "versions were") -> Any:
    """Return ``--data``, by default what the named `trained` on."""
    return typer.Option(
        callback=choices.dataset,
        help="A dataset's name, an .npz file or a folder of images; resized with @HEIGHTxWIDTH "
        "behind it, as in faces@28x28. "
        f"[default: what the {trained} trained on]",
        show_default=False,
    )


def voter_option(who: str) -> Any:
    """Return ``--voter``, for how `who` vote."""
    return typer.Option(
        help=f"How {who} vote: {VOTERS}. [default: mean-softmax]",
        show_default=False,
        callback=choices.voter,
    )


def attack_setting_option(more: str = "") -> Any:
    """Return ``--set`` of attacks, with `more` to say of it."""
    return typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="An option of the attacks that have it, or with deepfool.steps=50 of one alone; "
        f"may be repeated.{more}",
        show_default=False,
    )


def check_address(address: str, engine: str) -> None:
    """Raise InputError where there is a Ray cluster's address for another engine."""
    if address and engine != "ray":
        raise InputError("--address belongs to a Ray cluster; add --engine ray")
