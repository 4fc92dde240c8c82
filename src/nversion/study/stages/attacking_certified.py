"""Attack baseline and student on the images that they are certified on.

A certified radius is a lower bound of the distance to the nearest error, and what an attack finds
is an upper one: on the same images the two together say where it lies, and how much a better
certificate or a better attack could still change. An attack that comes nearer than the certificate
proves the certificate wrong.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import torch

from nversion.attacks.nearest_of_all import NearestOfAll
from nversion.evaluation.whole import median_distance
from nversion.files import read_tensors
from nversion.randomness import derive_seed
from nversion.study.context import Study
from nversion.study.sections import AttackedDistances, AttackedPair, Certification
from nversion.study.stages.certifying import parts_of
from nversion.study.units.attacking_certified import AttackCertified
from nversion.study.units.trained import TrainedVersion

__all__ = ["attack_certified", "distances_beside"]


def attack_certified(
    study: Study, networks: Mapping[str, TrainedVersion], certified: Certification
) -> Certification:
    """Return the certificates with the smallest changes that attacks found beside them.

    Args:
        study: that runs.
        networks: baseline and student, by role.
        certified: their radii.

    Raises:
        NVersionError: a part could not be attacked.
    """
    section = study.config.certification
    if not section.attack_passes:
        return certified
    parts = parts_of(min(section.images, len(study.data.test)))
    units = {
        (norm, role): [
            _unit(study, network, role, norm, part, rows) for part, rows in enumerate(parts)
        ]
        for norm in map(str, section.norms)
        for role, network in networks.items()
    }
    study.units.require("attacking what is certified", list(itertools.chain(*units.values())))
    found: dict[str, dict[str, AttackedDistances]] = {}
    for (norm, role), own in units.items():
        radii = [
            getattr(protocol[norm], role).radii
            for protocol in (certified.norms, certified.norms_box)
            if norm in protocol
        ]
        found.setdefault(norm, {})[role] = _summary(own, radii)
        nearer = found[norm][role].nearer
        if nearer:
            said = f"an attack is nearer than the certificate on {nearer} images, which is wrong"
            study.units.failures.append((f"certificates/attacked/{role}/l{norm}", said))
    pairs = {norm: AttackedPair(**roles) for norm, roles in found.items()}
    beside = {"attacked": pairs, "attack_passes": section.attack_passes}
    return certified.model_copy(update=beside)


def _unit(
    study: Study, network: TrainedVersion, role: str, norm: str, part: int, rows: slice
) -> AttackCertified:
    return AttackCertified(
        name=f"certificates/attacked/{role}/l{norm}-{part:03d}",
        network=network,
        attack=NearestOfAll(norm=norm, passes=study.config.certification.attack_passes),
        shared=study.shared,
        rows=(rows.start, rows.stop),
        seed=derive_seed(study.seed, "attacked", norm),
        device=study.device,
        path=study.folder.attacked(role, norm, part),
    )


def _summary(
    units: Sequence[AttackCertified], radii: Sequence[Sequence[float | None]]
) -> AttackedDistances:
    """Return what the parts of one network say together, beside its radii by domain."""
    read = [read_tensors(unit.path) for unit in units]
    distances = torch.cat([tensors["distances"] for tensors, _ in read]).double().tolist()
    spent = sum(facts["forwards"] + facts["backwards"] for _, facts in read)
    attacked = sum(distance > 0 for distance in distances)
    known = distances_beside(distances, radii)
    return known.model_copy(update={"passes": spent / attacked if attacked else None})


def distances_beside(
    distances: Sequence[float], radii: Sequence[Sequence[float | None]]
) -> AttackedDistances:
    """Return attacked distances, with what they are beside certified radii of the same images.

    Args:
        distances: 0 where the image is misclassified, infinite where no attack succeeded.
        radii: certified, by domain; null where infinite. The first are those of the gap.
    """
    middle = median_distance(distances).value
    ratios = [
        distance / radius
        for distance, radius in zip(distances, radii[0], strict=True)
        if radius and 0 < distance < math.inf
    ]
    # A certificate that is infinite, or a radius on a misclassified image, must not be met either.
    nearer = sum(
        any(distance < (math.inf if own is None else own) for own in each)
        for distance, *each in zip(distances, *radii, strict=True)
    )
    return AttackedDistances(
        median=middle if math.isfinite(middle) else None,
        distances=[one if math.isfinite(one) else None for one in distances],
        gap=statistics.median(ratios) if ratios else None,
        nearer=nearer,
    )
