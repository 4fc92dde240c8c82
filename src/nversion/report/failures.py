"""On which images the report shows how a vote grows, for the figure and for its sentence."""

from __future__ import annotations

from nversion.study.sections import FailuresTogether, Results

__all__ = ["grown_on"]


def grown_on(results: Results) -> tuple[str, FailuresTogether] | None:
    """Return what is known of the adversarial set, or else of the test images, by their name."""
    known = {
        "adversarial images": results.reliability.adversarial,
        "test images": results.reliability.test,
    }
    for name, together in known.items():
        if together is not None and together.plurality is not None:
            return name, together
    return None
