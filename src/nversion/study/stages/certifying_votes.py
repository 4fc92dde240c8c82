"""Certify the vote, beside the versions that vote.

A vote is dearer to certify than a network, by two to three times the number of its versions, so
that is done on few images and, of a large program, for its first versions only. The results say
for how many of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nversion.certification.infinite import middle_radii
from nversion.files import read_tensor
from nversion.program import RadiusComparison
from nversion.study.context import Study
from nversion.study.sections import BestRadii, CertifiedVotes, VoteRadii
from nversion.study.stages.certifying import Wanted, certify_rows, how, summary
from nversion.study.units.certifying import CertifiedImages, Certifying
from nversion.study.units.certifying_votes import CertifyVote
from nversion.study.units.trained import TrainedVersion

__all__ = ["PART", "certify_vote"]

PART = 2
"""Images a unit treats: few, so that all cores have work to the end."""


def certify_vote(study: Study, versions: Sequence[TrainedVersion]) -> CertifiedVotes | None:
    """Return how far the vote is certified, beside its versions; None where none was asked for.

    A version that cannot be certified is among the study's failures, and the vote is certified
    that the others hold; None where there are none.

    Raises:
        NVersionError: a part could not be certified.
    """
    section = study.config.certification
    count = min(section.program_images, len(study.data.test))
    if count == 0:
        return None
    domain, norms = section.domains[0], [str(norm) for norm in section.program_norms]
    ways = [how(study, norm, domain) for norm in norms]
    members, found = _certify_members(study, versions[: section.program_versions], ways, count)
    if not members:
        return None
    parts = [slice(start, min(start + PART, count)) for start in range(0, count, PART)]
    units = {
        norm: [
            CertifyVote(
                name=f"certificates/program/l{norm}-{domain}-{part:03d}",
                versions=members,
                voter=study.config.program.voter,
                shown=CertifiedImages.of(study.data, rows),
                how=how(study, norm, domain),
                start=middle_radii(found[norm][:, rows]).numpy(),
                path=study.folder.certificates("program", norm, domain, part),
            )
            for part, rows in enumerate(parts)
        ]
        for norm in norms
    }
    study.units.require("certifying the vote", [unit for each in units.values() for unit in each])
    radii = {}
    for norm in norms:
        voted = torch.cat([read_tensor(unit.path, "radii") for unit in units[norm]])
        radii[norm] = _compared(RadiusComparison(voted, found[norm]), members)
    return CertifiedVotes(
        voter=study.config.program.voter,
        domain=domain,
        images=count,
        versions=[member.name for member in members],
        versions_of=len(versions),
        norms=radii,
    )


def _certify_members(
    study: Study, members: Sequence[TrainedVersion], ways: Sequence[Certifying], count: int
) -> tuple[tuple[TrainedVersion, ...], dict[str, Tensor]]:
    """Return those that can be certified, and by norm their radii [those, count]."""
    units = {
        way.norm: [
            certify_rows(
                study,
                Wanted(member, f"versions/{member.name}", way.norm, way.domain),
                0,
                slice(0, count),
            )
            for member in members
        ]
        for way in ways
    }
    singles = [unit for each in units.values() for unit in each]
    done = study.units.run("certifying the versions", singles)
    able = [
        place
        for place in range(len(members))
        if all(each[place].name in done for each in units.values())
    ]
    radii = {
        norm: torch.stack([read_tensor(each[place].path, "radii") for place in able])
        for norm, each in units.items()
        if able
    }
    return tuple(members[place] for place in able), radii


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
