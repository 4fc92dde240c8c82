"""Certify radii of baseline and student.

Two protocols, never to be mixed up: the *untargeted* radius, within which the class stays, and the
radius against *one random target* that the study of 2019 took from CNN-Cert's script, which is
larger and proves less. The second is there for comparison only, in the plain ball.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import torch

from nversion.certification.infinite import (
    count_infinite,
    finite_radii,
    mean_radius,
    radii_as_json,
)
from nversion.files import read_tensor
from nversion.randomness import derive_seed
from nversion.study.context import Study
from nversion.study.sections import Certification, RadiiPair, RadiiSummary
from nversion.study.units.certifying import CertifiedImages, CertifyImages, Certifying
from nversion.study.units.trained import TrainedVersion

__all__ = [
    "FEWEST_CLASSES",
    "PART",
    "Wanted",
    "certify_networks",
    "certify_rows",
    "how",
    "parts_of",
    "summary",
]

PART = 20
"""Images a unit treats: small enough to share the work out, large enough to fill a batch."""

FEWEST_CLASSES = 4
"""One random target that is neither the label, the runner-up nor the least likely class."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Radii of one network that are wanted, in one norm and domain.

    Attributes:
        network: to be certified.
        role: what it is called among the certificates.
        norm: "1", "2" or "inf".
        domain: a key of :data:`nversion.study.units.certifying.BOXES`.
    """

    network: TrainedVersion
    role: str
    norm: str
    domain: str


def how(study: Study, norm: str, domain: str) -> Certifying:
    """Return how radii of a norm and domain are certified in a study."""
    section = study.config.certification
    return Certifying(norm, domain, section.method, section.steps_taken)


def certify_rows(study: Study, wanted: Wanted, part: int, rows: slice) -> CertifyImages:
    """Return the unit that certifies some rows of the test images.

    Args:
        study: that runs.
        wanted: the network, norm and domain.
        part: the number of these rows among all parts.
        rows: of the test images.
    """
    role, norm, domain = wanted.role, wanted.norm, wanted.domain
    return CertifyImages(
        name=f"certificates/{role}/l{norm}-{domain}-{part:03d}",
        network=wanted.network,
        shown=CertifiedImages.of(study.data, rows),
        how=how(study, norm, domain),
        seed=derive_seed(study.seed, "targets", part) if domain == "random" else 0,
        path=study.folder.certificates(role, norm, domain, part),
    )


def certify_networks(study: Study, networks: Mapping[str, TrainedVersion]) -> Certification:
    """Return the radii by protocol, norm and network; the certified vote is not among them.

    Raises:
        NVersionError: a part could not be certified.
    """
    section = study.config.certification
    count = min(section.images, len(study.data.test))
    drawn = min(section.random_target_images, count)
    drawn = drawn if study.data.classes >= FEWEST_CLASSES else 0
    counts = dict.fromkeys(section.domains, count) | ({"random": drawn} if drawn else {})
    units = {
        wanted: [
            certify_rows(study, wanted, part, rows)
            for part, rows in enumerate(parts_of(counts[wanted.domain]))
        ]
        for domain, norm, role in itertools.product(counts, map(str, section.norms), networks)
        for wanted in [Wanted(networks[role], role, norm, domain)]
    }
    study.units.require("certifying", list(itertools.chain(*units.values())))
    found: dict[str, dict[str, dict[str, RadiiSummary]]] = {}
    for wanted, parts in units.items():
        role, norm, domain = wanted.role, wanted.norm, wanted.domain
        radii = summary(torch.cat([read_tensor(part.path, "radii") for part in parts]))
        if domain == "random":
            radii = _beside_untargeted(radii, found.get("ball", {}).get(norm, {}).get(role))
        found.setdefault(domain, {}).setdefault(norm, {})[role] = radii
    keys = {"ball": "norms", "box": "norms_box", "random": "norms_random_target"}
    protocols = {
        keys[domain]: {norm: RadiiPair(**roles) for norm, roles in norms.items()}
        for domain, norms in found.items()
    }
    images = {"random_target_images": drawn} if drawn else {}
    return Certification.model_validate(
        {"method": section.method, "images": count, **protocols, **images}
    )


def _beside_untargeted(drawn: RadiiSummary, untargeted: RadiiSummary | None) -> RadiiSummary:
    """Return random-target radii with what their mean compares to, on the same images."""
    right = [radius for radius in drawn.radii if radius]
    # The script of 2019 skipped misclassified images; elsewhere they count as 0.
    means = {"mean_where_right": sum(right) / len(right) if right else None}
    if untargeted:
        same = untargeted.radii[: len(drawn.radii)]
        finite = [radius for radius in same if radius is not None]
        means["untargeted_mean"] = sum(finite) / len(finite) if finite else None
    return drawn.model_copy(update=means)


def summary(radii: torch.Tensor) -> RadiiSummary:
    """Return mean and median of the finite radii, how many are infinite, and the radii themselves.

    A radius is 0 where the image is misclassified, and null where it is infinite; mean and median
    are None if all are infinite.
    """
    finite = finite_radii(radii)
    return RadiiSummary(
        mean=mean_radius(radii),
        median=float(finite.median()) if len(finite) else None,
        infinite=count_infinite(radii),
        radii=radii_as_json(radii),
    )


def parts_of(count: int) -> list[slice]:
    """Return the rows of the first `count` test images, as many at a time as a unit treats."""
    return [slice(start, min(start + PART, count)) for start in range(0, count, PART)]
