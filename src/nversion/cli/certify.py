"""``nversion certify``: certified radii of a network, or of a program's vote."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nversion.cli import choices
from nversion.cli.images import test_images_of
from nversion.cli.options import (
    AddressOption,
    DataDirOption,
    EngineOption,
    FirstImagesOption,
    InputOption,
    JsonOption,
    KOption,
    TrustOption,
    WorkersOption,
    check_address,
    data_option,
    voter_option,
)
from nversion.cli.printing import print_table
from nversion.cli.programs import is_several, voting_from
from nversion.cli.request import CONFIDENCE, SAMPLES, SIGMA, STEPS, Options, check_file
from nversion.cli.versions import check_version, confirmed, load_versions
from nversion.cli.voters import voter_text
from nversion.errors import InputError, UnsupportedModuleError

if TYPE_CHECKING:
    from nversion.program.campaigns.certifying import Certification
    from nversion.program.campaigns.radii import CertifiedRadii, MedianVersion, NormRadii
    from nversion.program.campaigns.smoothing import SmoothedImages

__all__ = ["certify"]


def certify(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODELS...",
            help="Folders of versions, or files of networks: one is a network, several are a "
            "program that votes.",
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
    images: FirstImagesOption = 200,
    data: Annotated[str | None, data_option()] = None,
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
    voter: Annotated[str | None, voter_option("several versions")] = None,
    k: KOption = None,
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
    inputs: InputOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Certify how far each test image is from any misclassification.

    No change of an image within its radius changes the class, or a program's verdict. The radius
    is 0 where the class is wrong already. It is a lower bound: nothing is said of larger changes.

    - `nversion certify versions/v001 --norm 2 --images 50`

    - `nversion certify versions/v001 versions/v002 versions/v003 --voter majority --compare`

    - `nversion certify versions/v001 --method smoothing --sigma 0.5 --out radii.json`
    """
    asked = Options(
        norm, method, box, voter, k, compare, target, at, steps, sigma, samples, confidence, seed
    )
    several = is_several(models, inputs)
    asked.check(several)
    if out is not None:
        check_file(out)
    check_address(address, engine)
    for folder in models:
        check_version(folder)
    from nversion.program.campaigns.certifying import Subject, certify_images
    from nversion.workers import Where

    chosen = voting_from(models, inputs, voter, k) if several else None
    where = Where.of(workers, engine, address)
    if where.engine == "threads":
        raise InputError(
            "certificates are computed on the processor, where threads take turns; "
            "use --engine processes, ray or auto"
        )
    versions = load_versions(models, inputs, trust=trust)
    dataset = test_images_of(list(versions.values()), data, data_dir)
    versions = confirmed(versions, dataset)
    subject = Subject({name: one.model for name, one in versions.items()}, chosen)
    try:
        found = certify_images(subject, dataset, images, asked.request(), where)
    except UnsupportedModuleError as error:
        raise UnsupportedModuleError(_naming_versions(str(error), list(versions))) from error
    if out is not None:
        found.save(out)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    _print(found)
    if out is not None:
        typer.echo(f"radii of each image: {out}")


def _naming_versions(message: str, names: Sequence[str]) -> str:
    """Return a message on a program's module ("models.3.last") with the name of the version."""
    if len(names) == 1:
        return message

    def named(match: re.Match[str]) -> str:
        place = int(match[1])
        return f"{match[0]} (of {names[place]})" if place < len(names) else match[0]

    return re.sub(r"(?<=')models\.(\d+)[\w.]*'", named, message)


def _print(found: Certification) -> None:
    request = found.request
    domain = "the whole ball" if request.box is None else "changed images stay in [0, 1]"
    targets = "" if request.target == "all" else ", one random target class per image"
    typer.echo(
        f"{_title(found)} on the first {len(found.labels)} test images of {found.dataset}, "
        f"{found.accuracy:.2%} of them right; method {found.method}{targets}; {domain}"
    )
    if found.smoothed is not None:
        _print_confidence(found.smoothed)
    for norm, radii in found.norms.items():
        typer.echo(f"\ncertified radius in L{norm}")
        _print_norm(found, radii)
    if request.target == "random":
        typer.echo(
            "one random target, neither the runner-up nor the least likely class: larger than the "
            "radius against every class, and no proof that the class stays"
        )


def _title(found: Certification) -> str:
    if found.voter is None:
        return found.models[0]
    return f"program of {len(found.models)} ({voter_text(found.voter)})"


def _print_norm(found: Certification, radii: NormRadii) -> None:
    shown: dict[str, CertifiedRadii | MedianVersion] = {_title(found): radii.radii}
    if radii.versions:
        best = radii.best_version
        shown[f"best version ({best})"] = radii.versions[best]
        shown["median of the versions"] = radii.median_version
    infinite = any(one.infinite for one in shown.values())
    shares = [f"at {radius:g}" for radius in radii.radii.at]
    apart = ("infinite",) if infinite else ()
    heads = ("", "mean", "median", *apart, *shares, "images", "seconds an image")
    rows = [_cells(name, len(found.labels), one, infinite) for name, one in shown.items()]
    print_table(heads, rows, numbers=heads[1:])
    if infinite:
        typer.echo("  infinite radii are counted apart; mean and median are of the others")
    if radii.versions:
        comparison = radii.comparison
        typer.echo(
            f"  the vote is certified further than the best version on "
            f"{comparison.share_above_best:.0%} of the images, than the median version on "
            f"{comparison.share_above_median:.0%}"
        )


def _cells(
    name: str, images: int, one: CertifiedRadii | MedianVersion, infinite: bool
) -> tuple[str, ...]:
    return (
        name,
        *("-" if value is None else f"{value:.4f}" for value in (one.mean, one.median)),
        *((f"{one.infinite:g}",) if infinite else ()),
        *(f"{share:.1%}" for share in one.shares),
        str(images),
        f"{one.seconds_per_image:.3f}",
    )


def _print_confidence(smoothed: SmoothedImages) -> None:
    result, everything = smoothed.result, smoothed.confidence_of_all
    typer.echo(
        f"for the smoothed model: Gaussian noise of {result.sigma:g}, {result.samples:,} noisy "
        f"copies an image, {smoothed.accuracy:.2%} right, {smoothed.abstentions} "
        f"abstentions; each certificate is true with a probability of at least "
        f"{result.confidence:g}, all {len(smoothed.labels)} of them with "
        + (f"at least {everything:.3f}" if everything > 0 else "no guarantee")
    )
