"""Metrics and results image by image of the program attacked itself, and of joint failures.

They are read as JSON values and not as attributes: studies have them since they are measured, and
older ones do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nversion.evidence.accuracy import WILSON
from nversion.evidence.certificates import ORDER_STATISTICS
from nversion.evidence.keys import quoted
from nversion.evidence.record import Interval, Metric, PerImage, ThreatModel
from nversion.evidence.threats import norm_of, smallest, within
from nversion.study.finished import FinishedStudy

__all__ = ["failure_metrics", "whole_metrics", "whole_of", "whole_per_image"]


def whole_of(study: FinishedStudy) -> Mapping[str, Any]:
    """Return the section of the program attacked itself; empty where nobody attacked it."""
    return _object(_object(study.values.get("program")).get("whole"))


def whole_metrics(study: FinishedStudy) -> Iterator[tuple[Metric, ThreatModel]]:
    """Yield the distances of the nearest errors, and the shares that held at the usual radii."""
    whole = whole_of(study)
    for subject, norm, found in _distances(whole):
        told = {
            "subject": subject,
            "property": "stability",
            "approach": "empirical",
            "images": whole.get("images"),
            "test_images": whole.get("images"),
            "method": _method(found),
            "reading": "upper bound",
        }
        key = f"program.whole.subjects.{quoted(subject)}.norms.{norm}"
        threat = smallest(norm_of(norm))
        name = "median distance of the nearest error that an attack found"
        interval = None
        if found.get("low") is not None:
            interval = Interval(low=found["low"], high=found.get("high"), method=ORDER_STATISTICS)
        values = {"key": f"{key}.median", "name": name, "value": found.get("median")}
        values |= {"unit": "distance", "interval": interval, "threat": threat.id}
        yield Metric.model_validate({**told, **values}), threat
        for held in found.get("holding") or []:
            threat = within(norm_of(norm), held["radius"])
            values = {
                "key": f"{key}.holding.{quoted(format(held['radius'], 'g'))}.value",
                "name": "images on which no attack found a change within the radius",
                "value": held["value"],
                "unit": "share",
                "interval": Interval(low=held["low"], high=held["high"], method=WILSON),
                "threat": threat.id,
            }
            yield Metric.model_validate({**told, **values}), threat


def whole_per_image(study: FinishedStudy) -> Iterator[PerImage]:
    """Yield the distance of the nearest error, image by image."""
    whole = whole_of(study)
    for subject, norm, found in _distances(whole):
        distances = found.get("distances") or []
        if distances:
            yield PerImage(
                subject=subject,
                quantity="adversarial distance",
                norm=norm_of(norm),
                method=_method(found),
                threat=smallest(norm_of(norm)).id,
                test_indices=list(whole.get("test_indices") or []),
                numbers=list(distances),
                null_is="no attack succeeded",
                zero_is="the class was wrong before any attack",
            )


def failure_metrics(study: FinishedStudy) -> Iterator[tuple[Metric, None]]:
    """Yield how the versions' failures go together, on test images."""
    test = _object(_object(study.values.get("reliability")).get("test"))
    failures = _object(test.get("failures"))
    told = {
        "correlation": ("correlation of two versions' failures (Eckhardt and Lee)", "correlation"),
        "coincidences": ("test images on which two versions or more fail", "count"),
        "effective_versions": ("as many independent versions are worth the same", "count"),
    }
    for key, (name, unit) in told.items():
        if isinstance(failures.get(key), int | float):
            values = {
                "key": f"reliability.test.failures.{key}",
                "name": name,
                "subject": "versions",
                "property": "diversity",
                "approach": "statistical",
                "value": float(failures[key]),
                "unit": unit,
                "images": test.get("images"),
                "test_images": test.get("images"),
                "method": "right and wrong of every version on the same images",
            }
            yield Metric.model_validate(values), None


def _distances(whole: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for one in whole.get("subjects") or []:
        for norm, found in _object(one.get("norms")).items():
            yield str(one.get("name") or one.get("kind")), norm, _object(found)


def _method(found: Mapping[str, Any]) -> str:
    attacks = ", ".join(_object(found.get("found_by")))
    return f"the nearest of all attacks on it ({attacks})" if attacks else "all attacks on it"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
