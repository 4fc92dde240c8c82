"""``nversion certify``: certified radii of a network, or of a program's vote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nversion.cli import choices
from nversion.cli.options import (
    VOTERS,
    AddressOption,
    DataDirOption,
    EngineOption,
    WorkersOption,
    check_address,
    check_version,
    first_test_images,
    load_versions,
    test_images_of,
    voter_from,
    voter_text,
)
from nversion.cli.printing import print_table
from nversion.cli.request import CONFIDENCE, SAMPLES, SIGMA, STEPS, Request, check_file

if TYPE_CHECKING:
    from torch import nn

__all__ = ["certify"]


def certify(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODELS...",
            help="Folders of versions: one is a network, several are a program that votes.",
        ),
    ],
    norm: Annotated[
        str | None,
        typer.Option(
            callback=choices.norms,
            help="1, 2 and inf, with commas between. [default: 1,2,inf; for smoothing 2]",
            show_default=False,
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="The first test images, so many.")] = 200,
    data: Annotated[
        str | None,
        typer.Option(
            callback=choices.dataset,
            help="A dataset's name, an .npz file or a folder of images. [default: what the "
            "versions were trained on]",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDirOption = None,
    method: Annotated[
        str,
        typer.Option(
            callback=choices.one_of(*choices.METHODS),
            help="interval (fast, loose), linear, alpha (slow, tight), or smoothing (any model; "
            "L2; for the smoothed model, and with a confidence).",
        ),
    ] = "linear",
    box: Annotated[
        bool | None,
        typer.Option(
            "--box/--ball",
            help="Count valid images only, values in [0, 1], or the whole ball. [default: box]",
            show_default=False,
        ),
    ] = None,
    voter: Annotated[
        str | None,
        typer.Option(
            help=f"How several versions vote: {VOTERS}. [default: mean-softmax]",
            show_default=False,
            callback=choices.voter,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Votes that the voter k-of-n asks for.", show_default=False),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Certify each version too; costs about half as much as the program's vote.",
        ),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            callback=choices.one_of("all", "random"),
            help="all other classes, or random: one drawn per image, as the study of 2019 did; "
            "for one network.",
        ),
    ] = "all",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="RADII",
            help="Radii, with commas between, at which the table gives the certified share.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"For alpha: how many times slopes are improved. [default: {STEPS}]",
            show_default=False,
        ),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            help=f"For smoothing: the noise's standard deviation. [default: {SIGMA}]",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help=f"For smoothing: noisy copies per image. [default: {SAMPLES}]",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help=f"For smoothing: that a certificate is true. [default: {CONFIDENCE}]",
            show_default=False,
        ),
    ] = None,
    workers: WorkersOption = "auto",
    engine: EngineOption = "auto",
    address: AddressOption = "",
    seed: Annotated[int, typer.Option(min=0, help="For random targets and for noise.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the radii of every image and all else here: .json or .npz.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Certify how far each test image is from any misclassification.

    No change of an image within its radius changes the class, or a program's verdict. The radius
    is 0 where the class is wrong already. It is a lower bound: nothing is said of larger changes.

    - `nversion certify versions/v001 --norm 2 --images 50`

    - `nversion certify versions/v001 versions/v002 versions/v003 --voter majority --compare`

    - `nversion certify versions/v001 --method smoothing --sigma 0.5 --out radii.json`
    """
    from nversion.errors import InputError

    request = Request(
        norm, method, box, voter, k, compare, target, at, steps, sigma, samples, confidence
    )
    request.check(len(models))
    if out is not None:
        check_file(out)
    check_address(address, engine)
    for folder in models:
        check_version(folder)
    from nversion.cli.radii import bound, predictions, smooth, write
    from nversion.workers import Where

    if len(models) > 1:
        voter_from(voter, k)
    where = Where.of(workers, engine, address)
    if where.engine == "threads":
        raise InputError(
            "certificates are computed on the processor, where threads take turns; "
            "use --engine processes, ray or auto"
        )
    versions = load_versions(models)
    dataset = test_images_of(list(versions.values()), data, data_dir)
    chosen, labels = first_test_images(dataset, images)
    networks: dict[str, nn.Module] = {name: one.model for name, one in versions.items()}
    model = _model(networks, request)
    predicted = predictions(model, chosen)
    facts: dict[str, Any] = {
        "models": list(networks),
        "voter": _voter_facts(model),
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "images": len(chosen),
        "accuracy": float((predicted == labels).double().mean()),
        "method": method,
        **({"steps": request.slope_steps} if method == "alpha" else {}),
        "box": list(request.domain) if request.domain else None,
        "target": target,
        "seed": seed,
    }
    if method == "smoothing":
        facts |= smooth(request, model, chosen, labels, seed=seed, where=where)
    else:
        members = networks if compare else {}
        facts |= bound(request, model, members, chosen, labels, seed=seed, where=where)
    facts |= {"labels": labels.tolist(), "predictions": predicted.tolist()}
    if out is not None:
        write(out, facts)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    _print(facts)
    if out is not None:
        typer.echo(f"radii of each image: {out}")


def _model(networks: Mapping[str, nn.Module], request: Request) -> nn.Module:
    from nversion.program import Program

    if len(networks) == 1:
        return next(iter(networks.values()))
    return Program(list(networks.values()), voter_from(request.voter, request.k))


def _voter_facts(model: nn.Module) -> dict[str, Any] | None:
    from nversion.program import Program

    if not isinstance(model, Program):
        return None
    return {"name": model.voter.name, **model.voter.options()}


def _print(facts: Mapping[str, Any]) -> None:
    domain = "the whole ball" if facts["box"] is None else "changed images stay in [0, 1]"
    targets = "" if facts["target"] == "all" else ", one random target class per image"
    typer.echo(
        f"{_title(facts)} on the first {facts['images']} test images of {facts['dataset']}, "
        f"{facts['accuracy']:.2%} of them right; method {facts['method']}{targets}; {domain}"
    )
    if facts["method"] == "smoothing":
        _print_confidence(facts)
    for norm, found in facts["norms"].items():
        typer.echo(f"\ncertified radius in L{norm}")
        _print_norm(facts, found)
    if facts["target"] == "random":
        typer.echo(
            "one random target, neither the runner-up nor the least likely class: larger than the "
            "radius against every class, and no proof that the class stays"
        )


def _title(facts: Mapping[str, Any]) -> str:
    if facts["voter"] is None:
        return str(facts["models"][0])
    return f"program of {len(facts['models'])} ({voter_text(facts['voter'])})"


def _print_norm(facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    shown = {_title(facts): found}
    comparison = found.get("comparison")
    if comparison:
        best = comparison["best_version"]
        shown[f"best version ({best})"] = found["versions"][best]
        shown["median of the versions"] = comparison["median_version"]
    infinite = any(one["infinite"] for one in shown.values())
    shares = [f"at {entry['radius']:g}" for entry in found["certified"]]
    apart = ("infinite",) if infinite else ()
    heads = ("", "mean", "median", *apart, *shares, "images", "seconds an image")
    rows = [_cells(name, facts, one, infinite) for name, one in shown.items()]
    print_table(heads, rows, numbers=heads[1:])
    if infinite:
        typer.echo("  infinite radii are counted apart; mean and median are of the others")
    if comparison:
        typer.echo(
            f"  the vote is certified further than the best version on "
            f"{comparison['share_above_best']:.0%} of the images, than the median version on "
            f"{comparison['share_above_median']:.0%}"
        )


def _cells(
    name: str, facts: Mapping[str, Any], found: Mapping[str, Any], infinite: bool
) -> tuple[str, ...]:
    return (
        name,
        *("-" if found[key] is None else f"{found[key]:.4f}" for key in ("mean", "median")),
        *((f"{found['infinite']:g}",) if infinite else ()),
        *(f"{entry['share']:.1%}" for entry in found["certified"]),
        str(facts["images"]),
        f"{found['seconds_per_image']:.3f}",
    )


def _print_confidence(facts: Mapping[str, Any]) -> None:
    made = facts["smoothing"]
    everything = made["confidence_of_all"]
    typer.echo(
        f"for the smoothed model: Gaussian noise of {made['sigma']:g}, {made['samples']:,} noisy "
        f"copies an image, {made['smoothed_accuracy']:.2%} right, {made['abstentions']} "
        f"abstentions; each certificate is true with a probability of at least "
        f"{made['confidence']:g}, all {facts['images']} of them with "
        + (f"at least {everything:.3f}" if everything > 0 else "no guarantee")
    )
