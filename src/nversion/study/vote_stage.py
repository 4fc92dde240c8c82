"""Stage 5, second part: the certified vote, beside the certificates of the versions that vote.

A vote is dearer to certify than a network, by two to three times the number of its versions, so
that is done on few images and, of a large program, for its first versions only. The results say
for how many of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nversion.certification.infinite import middle_radii
from nversion.datasets import Dataset
from nversion.files import read_tensor
from nversion.program import RadiusComparison, certificate_of, create_voter
from nversion.study.certify_stage import RadiiPlan, summary
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.sections import BestRadii, CertifiedVotes, VoteRadii
from nversion.study.train_stage import TrainedVersion
from nversion.study.units.certifying_votes import certify_vote_on_images

__all__ = ["certify_vote"]

PART = 2
"""Images a unit treats: few, so that all cores have work to the end."""


def certify_vote(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    versions: Sequence[TrainedVersion],
    engine: Engine,
) -> CertifiedVotes | None:
    """Return how far the vote is certified, beside its versions; None where none was asked for.

    Raises:
        NVersionError: a part could not be certified.
    """
    section = config.certification
    count = min(section.program_images, len(data.test))
    if count == 0:
        return None
    members = versions[: section.program_versions]
    domain, norms = section.domains[0], [str(norm) for norm in section.program_norms]
    plan = RadiiPlan.of(config, folder, data)
    everything = slice(0, count)
    singles = [
        plan.unit(member, f"versions/{member.name}", norm, domain, 0, everything)
        for norm in norms
        for member in members
    ]
    engine.require("certifying the versions", singles)
    found = {
        norm: torch.stack(
            [
                read_tensor(
                    folder.certificates(f"versions/{member.name}", norm, domain, 0), "radii"
                )
                for member in members
            ]
        )
        for norm in norms
    }
    starts = range(0, count, PART)
    units = [
        _unit(config, plan, members, norm, domain, part, found[norm])
        for norm in norms
        for part in range(len(starts))
    ]
    engine.require("certifying the vote", units)
    radii = {}
    for norm in norms:
        paths = [folder.certificates("program", norm, domain, part) for part in range(len(starts))]
        voted = torch.cat([read_tensor(path, "radii") for path in paths])
        radii[norm] = _compared(RadiusComparison(voted, found[norm]), members)
    return CertifiedVotes(
        voter=config.program.voter,
        domain=domain,
        images=count,
        versions=[member.name for member in members],
        versions_of=len(versions),
        norms=radii,
    )


def _compared(comparison: RadiusComparison, members: Sequence[TrainedVersion]) -> VoteRadii:
    best = comparison.best_version
    own = summary(comparison.versions[best]).to_json()
    return VoteRadii(
        program=summary(comparison.program),
        best_version=BestRadii(name=members[best].name, **own),
        median_version_mean=comparison.median_mean,
        version_means=comparison.version_means,
        version_infinite=comparison.version_infinite,
        share_above_best=comparison.share_above_best,
        share_above_median=comparison.share_above_median,
    )


def _unit(
    config: StudyConfig,
    plan: RadiiPlan,
    members: Sequence[TrainedVersion],
    norm: str,
    domain: str,
    part: int,
    found: torch.Tensor,
) -> Unit:
    """Return the unit that certifies the vote on some images.

    Args:
        config: of the study.
        plan: how radii are certified.
        members: the versions that vote.
        norm: "1", "2" or "inf".
        domain: "ball" or "box".
        part: the number of the images' part.
        found: the versions' radii [versions, count].
    """
    rows = slice(part * PART, min((part + 1) * PART, found.shape[1]))
    path = plan.folder.certificates("program", norm, domain, part)
    start = middle_radii(found[:, rows])
    choices = {
        "voter": config.program.voter,
        "norm": norm,
        "domain": domain,
        "method": plan.method,
        "steps": plan.steps,
    }
    voter = create_voter(config.program.voter)
    return Unit(
        name=f"certificates/program/l{norm}-{domain}-{part:03d}",
        function=certify_vote_on_images,
        arguments={
            "versions": [member.folder for member in members],
            "images": plan.data.test.images[rows].numpy(),
            "labels": plan.data.test.labels[rows].numpy(),
            "start": start.numpy(),
            "path": path,
            **choices,
        },
        inputs={
            "versions": [member.weights for member in members],
            "data": plan.data.digest,
            "rows": [rows.start, rows.stop],
            "start": start.tolist(),
            **choices,
        },
        outputs=(plan.folder.relative(path),),
        uses=(voter, certificate_of(voter)),
    )
