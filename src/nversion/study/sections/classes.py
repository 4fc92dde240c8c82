"""What is right class by class, in the results."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nversion.study.sections.base import Section

__all__ = ["ClassAnswers"]


class ClassAnswers(Section):
    """What the program or one network answers to the test images of each class.

    Attributes:
        name: the version's, or what it is.
        kind: "program", "version" (the best on test images), "baseline" or "student".
        confusion: images by their class and by the class that is answered, in that order.
        abstained: images without an answer, by their class.
    """

    name: str | None = None
    kind: Literal["program", "version", "baseline", "student"]
    confusion: list[list[int]] = Field(default_factory=list)
    abstained: list[int] = Field(default_factory=list)
