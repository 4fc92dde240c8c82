"""What the program decides when versions are faulty, in the results."""

from __future__ import annotations

from pydantic import Field

from nversion.study.sections.base import Section

__all__ = ["PlantedFault", "PlantedFaults"]


class PlantedFault(Section):
    """What one voter decides as more and more versions have one kind of fault.

    All lists have a value for each number of faulty versions: the mean over the orders in which the
    versions fail, as shares of the images.

    Attributes:
        kind: "silent" has no voice (it raises, crashes, hangs, gives NaN), "constant" names one
            class always, "stuck" sees one image always, "lying" names, as do all that lie, the
            wrong class that is most probable.
        voter: its name.
        right: verdicts that are the true class.
        right_low: lower end of its 95 % interval by test image.
        right_high: upper end.
        right_least: the same share in the worst of the orders.
        right_most: in the best.
        wrong: verdicts that are another class.
        wrong_low: lower end of its interval.
        wrong_high: upper end.
        withheld: images without a verdict.
    """

    kind: str
    voter: str
    right: list[float] = Field(default_factory=list)
    right_low: list[float] = Field(default_factory=list)
    right_high: list[float] = Field(default_factory=list)
    right_least: list[float] = Field(default_factory=list)
    right_most: list[float] = Field(default_factory=list)
    wrong: list[float] = Field(default_factory=list)
    wrong_low: list[float] = Field(default_factory=list)
    wrong_high: list[float] = Field(default_factory=list)
    withheld: list[float] = Field(default_factory=list)


class PlantedFaults(Section):
    """The vote with 0, 1, 2, ... faulty versions: faults planted into what the versions answer.

    Attributes:
        images: test images, drawn with the study's seed.
        orders: random orders in which the versions fail.
        quorum: versions that must have a voice.
        counts: numbers of faulty versions.
        curves: by kind of fault and voter, the study's own voter first.
    """

    images: int | None = None
    orders: int | None = None
    quorum: int | None = None
    counts: list[int] = Field(default_factory=list)
    curves: list[PlantedFault] = Field(default_factory=list)

    def of(self, kind: str, voter: str | None) -> PlantedFault | None:
        """Return the curve of one kind and voter; None if there is none."""
        pairs = ((one.kind, one.voter) for one in self.curves)
        return next((self.curves[i] for i, pair in enumerate(pairs) if pair == (kind, voter)), None)
