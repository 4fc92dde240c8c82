"""``nversion export``: a version, a student or a program as ONNX or torch.export, with a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nversion.cli.images import first_test_images, test_images_of
from nversion.cli.options import (
    DataDirOption,
    InputOption,
    JsonOption,
    KOption,
    TrustOption,
    data_option,
    voter_option,
)
from nversion.cli.places import check_place
from nversion.cli.printing import working
from nversion.cli.programs import voting_from
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.errors import InputError

__all__ = ["export"]

ENDINGS = (".onnx", ".pt2")


def export(
    versions: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERSIONS...",
            help="Folders of versions, or files of networks: one is a network, several are a "
            "program that votes.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file: .onnx or .pt2 (torch.export).")],
    data: Annotated[str | None, data_option()] = None,
    data_dir: DataDirOption = None,
    voter: Annotated[str | None, voter_option("several versions")] = None,
    k: KOption = None,
    images: Annotated[
        int, typer.Option(min=1, help="On so many test images the file is checked.")
    ] = 200,
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a version, a student or a program as one file that other tools read.

    The file is compared with the original on test images, and not kept if it gives other outputs.
    Beside it comes a card in Markdown: what goes in and out, where the versions are from, what was
    measured.

    - `nversion export versions/v001 --out v001.onnx`

    - `nversion export versions/v* --voter mean-softmax --out program.pt2`
    """
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"--out {out}: must end in {' or '.join(ENDINGS)}")
    check_place(out, "--out")
    for folder in versions:
        check_version(folder)
    from nversion.program.exporting import export as write

    found = load_versions(versions, inputs, trust=trust)
    dataset = test_images_of(list(found.values()), data, data_dir)
    found = confirmed(found, dataset)
    networks = [one.model for one in found.values()]
    model = (
        voting_from(versions, inputs, voter, k).program(networks)
        if len(networks) > 1
        else networks[0]
    )
    with working(f"writing {out}, and reading it back ..."):
        made = write(
            model,
            out,
            *first_test_images(dataset, images),
            versions=found,
            class_names=dataset.class_names,
            about=f"the first test images of {dataset.name}",
        )
    if as_json:
        facts = {
            "file": str(out),
            "card": str(made.card),
            "sha256": made.written.sha256,
            "images": made.written.images,
            "difference": made.written.difference,
            "same_class": made.written.same_class,
            "accuracy": made.accuracy,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"{out}: on {made.written.images} test images of {dataset.name} it gives the original's "
        f"outputs to within {made.written.difference:.2g}; {made.accuracy:.2%} right"
    )
    typer.echo(f"card: {made.card}")
