"""``nversion architectures``: list, show, check and generate the texts of architectures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli.options import JsonOption
from nversion.cli.printing import print_table
from nversion.errors import ArchitectureError, InputError

if TYPE_CHECKING:
    from nversion.architectures import Architecture

__all__ = ["app"]

app = typer.Typer(
    help="The texts that versions are built from: list, show, check and generate them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

ShapeOption = Annotated[
    str, typer.Option("--shape", help="The images: CHANNELS,HEIGHT,WIDTH, such as 3,32,32.")
]
ClassesOption = Annotated[int, typer.Option("--classes", help="How many classes there are.")]

NUMBERS = ("", "parameters", "multiply-adds")


@app.command("list")
def list_(
    count: Annotated[
        int | None, typer.Option(help="How many; all 100 by default.", show_default=False)
    ] = None,
    shape: ShapeOption = "1,28,28",
    classes: ClassesOption = 10,
    as_json: JsonOption = False,
) -> None:
    """List the catalogue: 100 architectures, half convolutional and half dense, in turns.

    For 28x28 pixels they are files shipped with nversion; for other images they are generated.

    - `nversion architectures list --count 10`

    - `nversion architectures list --shape 3,32,32 --json`
    """
    images = _shape(shape)
    from nversion.architectures import catalogue

    facts = [
        _facts(architecture, images, classes) for architecture in catalogue(count, images, classes)
    ]
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    rows = [
        (
            fact["name"],
            "; ".join(fact["text"].splitlines()),
            f"{fact['parameters']:,}",
            f"{fact['multiply_adds']:,}",
        )
        for fact in facts
    ]
    print_table(("name", "layers", "parameters", "multiply-adds"), rows, numbers=NUMBERS)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="v001 to v100, student, or a text file.")],
    shape: ShapeOption = "1,28,28",
    classes: ClassesOption = 10,
    as_text: Annotated[
        bool, typer.Option("--text", help="Print the canonical text, as a file would hold it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one architecture: layers, output shapes, parameters and multiply-adds.

    Multiply-adds are for one image. Layers without a number are added by themselves.

    - `nversion architectures show v001`

    - `nversion architectures show mine.txt --shape 3,32,32 --classes 100`

    - `nversion architectures show student --text > mine.txt`
    """
    images = _shape(shape)
    from nversion.architectures import find_architecture, shape_text

    architecture = find_architecture(name, images, classes)
    if as_text:
        architecture.check(images, classes)
        typer.echo(architecture.to_text(), nl=False)
        return
    table = architecture.table(images, classes)
    if as_json:
        layers = [
            {
                "number": row.number,
                "text": row.text,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
            }
            for row in table
        ]
        facts = _facts(architecture, images, classes)
        typer.echo(json.dumps({**facts, "layers": layers}, indent=2))
        return
    rows = [
        (
            "" if row.number is None else str(row.number),
            row.text,
            shape_text(row.output_shape),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
        )
        for row in table
    ]
    total = (
        "",
        "total",
        "",
        f"{sum(row.parameters for row in table):,}",
        f"{sum(row.multiply_adds for row in table):,}",
    )
    typer.echo(f"{architecture.name}, {architecture.kind}, for images of {shape_text(images)}")
    heads = ("", "layer", "output", "parameters", "multiply-adds")
    print_table(heads, rows, numbers=NUMBERS, total=total)


@app.command("check")
def check(
    files: Annotated[list[Path], typer.Argument(help="Architecture files.")],
    shape: ShapeOption = "1,28,28",
    classes: ClassesOption = 10,
    as_json: JsonOption = False,
) -> None:
    """Check that files can be read and fit the images; exit code 1 if one does not.

    - `nversion architectures check mine/*.txt --shape 1,8,8`
    """
    images = _shape(shape)
    from nversion.architectures import Architecture

    results: list[dict[str, Any]] = []
    for file in files:
        result: dict[str, Any] = {"file": str(file), "error": None}
        try:
            # The whole path as the name, so that a misfit says which of many files it is in.
            result |= _facts(Architecture.load(file, name=str(file)), images, classes)
        except ArchitectureError as error:
            result["error"] = str(error)
        results.append(result)
    bad = sum(result["error"] is not None for result in results)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        for result in results:
            typer.echo(result["error"] or f"{result['file']}: ok, {result['kind']}")
        typer.echo(f"{len(results) - bad} of {len(results)} pass")
    if bad:
        raise typer.Exit(1)


@app.command("generate")
def generate_(
    out: Annotated[Path, typer.Option(help="The folder that gets one text file for each.")],
    count: Annotated[int, typer.Option(help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 7,
    shape: ShapeOption = "1,28,28",
    classes: ClassesOption = 10,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that hold something else.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate different architectures and write them as v001.txt, v002.txt, ...

    They are in turns convolutional and dense, and spread over depth, width, pooling and dropout
    from the first on: a larger count with the same seed goes on where a smaller one ends. With
    the defaults they are the catalogue.

    - `nversion architectures generate --count 100 --seed 7 --shape 1,28,28 --out mine`
    """
    images = _shape(shape)
    from nversion.architectures import generate

    architectures = generate(count, seed, images, classes)
    files = {out / f"{architecture.name}.txt": architecture for architecture in architectures}
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: not a folder")
    foreign = [path for path, architecture in files.items() if _differs(path, architecture)]
    if foreign and not force:
        others = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"{foreign[0]}{others} would be overwritten; choose another --out, or use --force"
        )
    for path, architecture in files.items():
        architecture.save(path)
    if as_json:
        typer.echo(json.dumps([str(path) for path in files], indent=2))
    else:
        typer.echo(f"{len(files)} architectures in {out}")


def _shape(text: str) -> tuple[int, int, int]:
    """Return (channels, height, width) from the option's text."""
    parts = [part.strip() for part in text.replace("x", ",").split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise InputError(f"--shape must be CHANNELS,HEIGHT,WIDTH, such as 1,28,28, not {text!r}")
    channels, height, width = map(int, parts)
    return channels, height, width


def _facts(architecture: Architecture, shape: tuple[int, int, int], classes: int) -> dict[str, Any]:
    return {
        "name": architecture.name,
        "kind": architecture.kind,
        "text": architecture.to_text(),
        "parameters": architecture.parameters(shape, classes),
        "multiply_adds": architecture.multiply_adds(shape, classes),
    }


def _differs(path: Path, architecture: Architecture) -> bool:
    """Return whether something else than the architecture's text lies at `path`."""
    return path.exists() and (
        not path.is_file() or path.read_bytes() != architecture.to_text().encode()
    )
