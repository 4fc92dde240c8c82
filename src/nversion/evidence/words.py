"""How evidence puts its numbers into words, the same in every form that has words."""

from __future__ import annotations

import uuid

from nversion.evidence.record import Evidence, Metric, ThreatModel

__all__ = ["identifier", "number", "of_threat", "sentence", "slice_of", "with_interval"]


def number(value: float | None) -> str:
    """Write a number to four digits; a value that there is not as "none"."""
    return "none" if value is None else f"{value:.4g}"


def with_interval(metric: Metric) -> str:
    """Write a metric's value with its interval: 0.9 (95 % interval 0.85 to 0.94)."""
    if metric.interval is None:
        return number(metric.value)
    low, high = number(metric.interval.low), number(metric.interval.high)
    end = "without upper end" if metric.interval.high is None else f"to {high}"
    return f"{number(metric.value)} ({100 * metric.interval.level:g} % interval {low} {end})"


def sentence(metric: Metric) -> str:
    """Write what a metric says, and of how many images."""
    bound = "" if metric.reading == "estimate" else f", {metric.reading}"
    images = "" if metric.images is None else f" on {metric.images:,} images"
    return f"{metric.subject}: {metric.name}{images}: {with_interval(metric)}{bound}"


def slice_of(metric: Metric) -> str:
    """Write which images and which method a metric is of."""
    parts = [f"{metric.approach}, {metric.property}"]
    if metric.images is not None:
        parts.append(f"{metric.images} images")
    if metric.test_images is not None:
        parts.append(f"of {metric.test_images} test images")
    parts.append(metric.method)
    if metric.threat is not None:
        parts.append(f"threat model {metric.threat}")
    return "; ".join(parts)


def of_threat(threat: ThreatModel) -> str:
    """Write what an attacker may do."""
    change = "changes of any kind" if threat.norm is None else f"changes in {threat.norm}"
    size = "the smallest" if threat.radius is None else f"at most {threat.radius:g}"
    valid = "any pixel values"
    if threat.lowest is not None and threat.highest is not None:
        valid = f"pixels in [{threat.lowest:g}, {threat.highest:g}]"
    return f"{change}, {size}; {valid}; knows {threat.knowledge}; wants {threat.goal}"


def identifier(evidence: Evidence) -> uuid.UUID:
    """Return a name for a piece of evidence: the same results, made at the same time, have one."""
    return uuid.uuid5(
        uuid.NAMESPACE_OID, f"{evidence.format} {evidence.study.results_sha256} {evidence.made}"
    )
