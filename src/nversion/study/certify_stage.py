"""Stage 5: certified radii of baseline and student.

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
from nversion.datasets import Dataset
from nversion.files import read_tensor
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.sections import Certification, RadiiPair, RadiiSummary
from nversion.study.train_stage import TrainedVersion
from nversion.study.units.certifying import certify_images

__all__ = ["RadiiPlan", "certify_networks", "summary"]

PART = 20
"""Images a unit treats: small enough to share the work out, large enough to fill a batch."""

FEWEST_CLASSES = 4
"""One random target that is neither the label, the runner-up nor the least likely class."""


@dataclasses.dataclass(frozen=True)
class RadiiPlan:
    """How radii are certified: what all units of a study have in common.

    Attributes:
        folder: of the study.
        data: the dataset, whose test images are certified.
        method: of the bounds.
        steps: of the method "alpha".
        seed: of the random targets.
    """

    folder: StudyFolder
    data: Dataset
    method: str
    steps: int
    seed: int

    @classmethod
    def of(cls, config: StudyConfig, folder: StudyFolder, data: Dataset) -> RadiiPlan:
        """Return the plan of a study."""
        section = config.certification
        steps = section.steps if section.method == "alpha" else 0
        return cls(folder, data, section.method, steps, config.seed)

    def unit(
        self, network: TrainedVersion, role: str, norm: str, domain: str, part: int, rows: slice
    ) -> Unit:
        """Return the unit that certifies some rows of the test images.

        Args:
            network: to be certified.
            role: what it is called among the certificates.
            norm: "1", "2" or "inf".
            domain: a key of :data:`nversion.study.units.certifying.BOXES`.
            part: the number of these rows among all parts.
            rows: of the test images.
        """
        path = self.folder.certificates(role, norm, domain, part)
        choices = {
            "norm": norm,
            "domain": domain,
            "method": self.method,
            "steps": self.steps,
            "seed": derive_seed(self.seed, "targets", part) if domain == "random" else 0,
        }
        return Unit(
            name=f"certificates/{role}/l{norm}-{domain}-{part:03d}",
            function=certify_images,
            arguments={
                "network": network.folder,
                "images": self.data.test.images[rows].numpy(),
                "labels": self.data.test.labels[rows].numpy(),
                "path": path,
                **choices,
            },
            inputs={
                "weights": network.weights,
                "data": self.data.digest,
                "rows": [rows.start, rows.stop],
                **choices,
            },
            outputs=(self.folder.relative(path),),
        )


def certify_networks(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    networks: Mapping[str, TrainedVersion],
    engine: Engine,
) -> Certification:
    """Return the radii by protocol, norm and network; the certified vote is not among them.

    Raises:
        NVersionError: a part could not be certified.
    """
    section = config.certification
    plan = RadiiPlan.of(config, folder, data)
    count = min(section.images, len(data.test))
    drawn = min(section.random_target_images, count) if data.classes >= FEWEST_CLASSES else 0
    counts = dict.fromkeys(section.domains, count) | ({"random": drawn} if drawn else {})
    combinations = list(itertools.product(counts, map(str, section.norms), networks))
    units = [
        plan.unit(networks[role], role, norm, domain, part, rows)
        for domain, norm, role in combinations
        for part, rows in enumerate(_parts(counts[domain]))
    ]
    engine.require("certifying", units)
    found: dict[str, dict[str, dict[str, RadiiSummary]]] = {}
    for domain, norm, role in combinations:
        parts = range(len(_parts(counts[domain])))
        paths = [folder.certificates(role, norm, domain, part) for part in parts]
        radii = summary(torch.cat([read_tensor(path, "radii") for path in paths]))
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


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + PART, count)) for start in range(0, count, PART)]
