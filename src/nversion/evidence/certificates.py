"""Metrics and results image by image that are proved: certified radii of networks and votes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nversion.evidence.medians import median_with_interval
from nversion.evidence.record import Interval, Metric, PerImage, ThreatModel
from nversion.evidence.threats import certified, norm_of
from nversion.study.finished import FinishedStudy
from nversion.study.sections import RadiiPair, RadiiSummary

__all__ = ["ORDER_STATISTICS", "certified_metrics", "certified_per_image"]

ORDER_STATISTICS = "order statistics"


@dataclass(frozen=True)
class _Radii:
    """Radii of one subject in one norm and domain, and where the results have their mean."""

    subject: str
    norm: str
    domain: str
    key: str
    method: str
    radii: RadiiSummary


def certified_metrics(study: FinishedStudy) -> Iterator[tuple[Metric, ThreatModel]]:
    """Yield the mean and the median radius of everything that was certified."""
    for one in _all(study):
        threat = certified(one.norm, one.domain)
        images = len(one.radii.radii) or study.results.certification.images
        told = {
            "subject": one.subject,
            "property": "stability",
            "approach": "formal",
            "unit": "distance",
            "reading": "lower bound",
            "images": images,
            "test_images": images,
            "method": one.method,
            "threat": threat.id,
        }
        if one.radii.mean is not None:
            mean = {"key": f"{one.key}.mean", "name": "mean of the finite certified radii"}
            yield Metric.model_validate({**told, **mean, "value": one.radii.mean}), threat
        if one.radii.radii:
            median, low, high = median_with_interval(one.radii.radii)
            name = "median certified radius, 0 where the class is wrong"
            interval = None
            if low is not None:
                interval = Interval(low=low, high=high, method=ORDER_STATISTICS)
            values = {"key": None, "name": name, "value": median, "interval": interval}
            yield Metric.model_validate({**told, **values}), threat


def certified_per_image(study: FinishedStudy) -> Iterator[PerImage]:
    """Yield the radii, image by image."""
    for one in _all(study):
        if one.radii.radii:
            yield PerImage(
                subject=one.subject,
                quantity="certified radius",
                norm=one.norm,
                method=one.method,
                threat=certified(one.norm, one.domain).id,
                test_indices=list(range(len(one.radii.radii))),
                numbers=list(one.radii.radii),
                null_is="an infinite radius: no image at all is classified otherwise",
                zero_is="the class is wrong, or nothing could be proved",
            )


def _all(study: FinishedStudy) -> Iterator[_Radii]:
    told = study.results.certification
    method = f"{told.method or 'unnamed'} bounds, proved in float64"
    domains: Mapping[str, tuple[str, Mapping[str, RadiiPair]]] = {
        "ball": ("norms", told.norms),
        "box": ("norms_box", told.norms_box),
    }
    for domain, (key, norms) in domains.items():
        for norm, pair in norms.items():
            for role in ("baseline", "student"):
                where = f"certification.{key}.{norm}.{role}"
                yield _Radii(role, norm_of(norm), domain, where, method, getattr(pair, role))
    if told.program is not None:
        voter = told.program.voter or "the vote"
        of = f"{len(told.program.versions or [])} of {told.program.versions_of} versions"
        for norm, votes in told.program.norms.items():
            where = f"certification.program.norms.{norm}.program"
            domain = told.program.domain or "ball"
            how = f"{method}, of the vote by {voter} of {of}"
            yield _Radii("program", norm_of(norm), domain, where, how, votes.program)
