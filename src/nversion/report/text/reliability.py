"""How the versions fail together, in the report: its tables, and a sentence beside each figure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nversion.report.failures import grown_on
from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import MISSING, count, decimal, join, p_value, percent, plural
from nversion.study.sections import (
    ChosenVersions,
    Coincidences,
    FailuresTogether,
    MeasuredValue,
    Results,
)

__all__ = [
    "choice_table",
    "chosen",
    "coincident",
    "correlated",
    "covered",
    "measure_table",
    "measured",
    "predicted",
    "voter_table",
]

_SIGNIFICANT = 0.05

MEASURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "correlation": ("Correlation of failures", "of pairs: 0 by chance, 1 always together"),
        "q": ("Q statistic", "of pairs: the same by odds; near 1 where failures are rare"),
        "kappa": ("Kappa", "of pairs: agreement on right and wrong beyond chance"),
        "disagreement": ("Disagreement", "of pairs: images on which exactly one is right"),
        "double_fault": ("Double fault", "of pairs: images on which both fail"),
        "entropy": ("Entropy", "of all: 0 where all are right or wrong together"),
        "kohavi_wolpert": ("Kohavi-Wolpert variance", "of all: how right differs over versions"),
        "interrater_kappa": ("Interrater kappa", "of all: agreement beyond chance"),
        "difficulty": ("Difficulty", "of all: how much images differ in versions that they fail"),
        "generalised": ("Generalised diversity", "of all: 1 if no two ever fail together"),
        "coincident_failure": (
            "Coincident failure diversity",
            "of all: 1 if each failure is of one version alone",
        ),
    }
)
"""Names of the measures, and each in one line."""


def measure_table(results: Results) -> Table | None:
    """Return the measures of diversity on the test images and the adversarial set."""
    kinds = _kinds(results)
    if not kinds:
        return None
    body = [
        [
            Cell(name, words),
            *(
                Cell(_value(measure), _ends(measure))
                for together in kinds.values()
                for measure in [together.measures.get(key, MeasuredValue())]
            ),
        ]
        for key, (name, words) in MEASURES.items()
    ]
    body += [
        [Cell(name, words), *(Cell(decimal(value)) for value in values)]
        for name, words, values in (
            (
                "Effective number of versions",
                "as many independent ones are worth the same",
                [together.failures.effective_versions for together in kinds.values()],
            ),
            (
                "Dispersion",
                "variance of the number that fail, over that of independent versions",
                [together.failures.dispersion for together in kinds.values()],
            ),
        )
    ]
    columns = [Column("Measure", numeric=False), *(Column(title) for title in kinds)]
    notes = [
        "Below each value is its 95\u202f% interval, by test image. Measures of pairs are means "
        "over all pairs. An adversarial set is made of failures: its values are to be compared "
        "with those of other sets, not with independence."
    ]
    return Table("", "How differently the versions fail", columns, body, notes)


def _kinds(results: Results) -> dict[str, FailuresTogether]:
    known = {
        "Test images": results.reliability.test,
        "Adversarial images": results.reliability.adversarial,
    }
    return {title: together for title, together in known.items() if together is not None}


def _value(measure: MeasuredValue) -> str:
    return MISSING if measure.value is None else f"{measure.value:.4f}".replace("-", "\u2212")


def _ends(measure: MeasuredValue) -> str:
    if measure.low is None or measure.high is None:
        return ""
    return f"{measure.low:.4f} to {measure.high:.4f}".replace("-", "\u2212")


def measured(results: Results) -> str | None:
    """Say how failures of two versions go together, by the interval of their correlation."""
    together = results.reliability.test
    measure = None if together is None else together.measures.get("correlation")
    if together is None or measure is None or measure.value is None:
        return None
    said = f"On test images, failures of two versions correlate by {measure.value:.2f} on average"
    if measure.low is None or measure.high is None:
        return f"{said}."
    sure = "more than chance" if measure.low > 0 else "not distinguishable from chance"
    ends = f"{measure.low:.2f} to {measure.high:.2f}".replace("-", "\u2212")
    effective = together.failures.effective_versions
    versions = len(together.failures.by_version)
    worth = (
        f"; were only that correlation to matter, {versions} versions would be worth "
        f"{decimal(effective, 2)} that fail independently"
        if effective is not None and measure.low > 0
        else ""
    )
    return f"{said} ({ends}), {sure}{worth}."


def correlated(results: Results) -> str | None:
    """Say which pair fails together most and least (figure 10)."""
    together = results.reliability.test
    names = results.program.versions or []
    if together is None or not together.correlation:
        return None
    known = [
        (value, first, first + 1 + place)
        for first, row in enumerate(together.correlation)
        for place, value in enumerate(row)
        if value is not None
    ]
    if not known:
        return "No two versions both fail on some of the test images, so nothing correlates."
    (least, *few), (most, *many) = min(known), max(known)
    written = [
        " and ".join(names[one] if one < len(names) else str(one + 1) for one in pair)
        for pair in (many, few)
    ]
    if len(known) == 1:
        return f"Failures of {written[0]} on test images correlate by {most:.2f}."
    return (
        f"On test images, failures go together most in {written[0]} ({most:.2f}) and least in "
        f"{written[1]} ({least:.2f}), of {plural(len(known), 'pair')}."
    ).replace("-0.", "\u22120.")


def coincident(results: Results) -> str | None:
    """Say whether more versions fail together than independence predicts (figure 11)."""
    together = results.reliability.test
    return None if together is None else _coincident(together.failures)


def _coincident(found: Coincidences) -> str | None:
    if found.coincidences is None or found.expected_coincidences is None:
        return None
    said = (
        f"Two versions or more fail on {plural(found.coincidences, 'test image')}; if they failed "
        f"independently, each as often as it does, it would be {found.expected_coincidences:,.1f}"
    )
    if found.z is None or found.p_value is None:
        return f"{said}."
    if found.p_value >= _SIGNIFICANT:
        return f"{said}: no more than chance allows ({p_value(found.p_value)})."
    said += f". That they fail independently is rejected (z {found.z:.1f}, {p_value(found.p_value)}"
    if found.within_classes_z is not None:
        said += f"; z {found.within_classes_z:.1f} if some classes are harder than others"
    fit = found.beta_binomial
    model = (
        f" A beta-binomial model of the images' difficulty fits ({p_value(fit.p_value)})."
        if fit is not None
        else " A beta-binomial model of the images' difficulty is rejected, and not used "
        f"({p_value(found.beta_binomial_p)})."
        if found.beta_binomial_p is not None
        else ""
    )
    return f"{said}).{model}"


def predicted(results: Results) -> str | None:
    """Say what a plurality of n versions may be expected to bring (figure 12)."""
    found = grown_on(results)
    if found is None or found[1].plurality is None:
        return None
    kind, votes = found[0], found[1].plurality
    last = len(votes.predicted)
    if last < 3:
        return None
    shown = sorted({1, 3, min(9, last), last})
    said = join(f"{percent(votes.predicted[n - 1])} with {n}" for n in shown)
    outside = [
        n
        for n, value in enumerate(votes.measured, start=1)
        if votes.orders_low
        and not votes.orders_low[n - 1] - 1e-12 <= value <= votes.orders_high[n - 1] + 1e-12
    ]
    order = (
        f"The given order lies outside the middle 95\u202f% of {count(votes.orders)} random orders "
        f"for {len(outside)} of {last} n: an accident of the order, not of the versions."
        if outside
        else f"The given order lies within the middle 95\u202f% of {count(votes.orders)} random "
        "orders."
        if votes.orders_low
        else ""
    )
    return (
        f"A plurality of n versions, taken at random, is to be expected to be right on {said} of "
        f"the {kind}. {order}"
    ).strip()


def covered(results: Results) -> str | None:
    """Say which voter knows best what it does not know (figure 13)."""
    together = results.reliability.test
    if together is None or len(together.voters) < 2:
        return None
    best, worst = together.voters[0], together.voters[-1]
    own = next((one for one in together.voters if one.voter == results.program.voter), None)
    said = (
        f"On test images, the area under the curve is largest for {best.voter} "
        f"({percent(best.area)}) and smallest for {worst.voter} ({percent(worst.area)})"
    )
    if own is not None and own.voter not in (best.voter, worst.voter):
        said += f"; {own.voter}, the study's, has {percent(own.area)}"
    return f"{said}. No interval of the differences is known."


def voter_table(results: Results) -> Table | None:
    """Return what every voter gets right, and how well it knows when."""
    kinds = {title: one for title, one in _kinds(results).items() if one.voters}
    if not kinds:
        return None
    order = [one.voter for one in next(iter(kinds.values())).voters]
    by_name = {title: {one.voter: one for one in kind.voters} for title, kind in kinds.items()}
    body = []
    for voter in order:
        cells = [Cell(voter, "the study's" if voter == results.program.voter else "")]
        for curves in by_name.values():
            curve = curves.get(voter)
            values = (curve.right, curve.decided, curve.area) if curve else (None, None, None)
            cells += [Cell(percent(value)) for value in values]
        body.append(cells)
    columns = [
        Column("Voter", numeric=False),
        *(Column(name, group=title) for title in kinds for name in ("right", "decided", "area")),
    ]
    notes = [
        "Decided is the share of images with a verdict at all. The area is the accuracy on the "
        "images that a voter is surest of, by its margin, in the mean over all shares of them; "
        "images without a verdict count as wrong."
    ]
    return Table("", "Every voter on the same outputs", columns, body, notes)


CRITERIA: Mapping[str, str] = MappingProxyType(
    {
        "all": "all versions",
        "accuracy": "the accuracy of their vote",
        "coincident-failures": "how rarely two fail together",
        "white-box": "the predicted distance of the nearest error",
    }
)
"""What the criteria of selection are called."""


def choice_table(results: Results) -> Table | None:
    """Return the programs that were chosen on training images, judged on others."""
    found = results.reliability.selection
    if found is None or not found.chosen:
        return None
    rows = [
        ("", found.full),
        *(("the fewest as accurate as all", one) for one in found.chosen),
        *(("as many by each", one) for one in found.sized),
    ]
    body = [_choice(note, one) for note, one in rows]
    columns = [
        Column("Chosen by", numeric=False),
        Column("Versions"),
        *(Column(kind, group="Right on images") for kind in ("training", "test", "adversarial")),
        Column("Predicted L2"),
        Column("Which", numeric=False),
    ]
    notes = [
        f"Chosen greedily on {plural(found.images or 0, 'training image')}. The versions have "
        f"learnt from these, and are right on {percent(found.mean_accuracy)} of them on average: "
        "what is learnt by heart tells little. Judged on images that played no part.",
        "Predicted L2 is how far the nearest error is in the mean if the mean of the logits were "
        f"linear, on {plural(found.white_box_images or 0, 'training image')}: a number to choose "
        "by, not the outcome of an attack.",
    ]
    return Table("", "Which versions would be enough", columns, body, notes)


def _choice(note: str, one: ChosenVersions) -> list[Cell]:
    few = len(one.members) <= 10
    return [
        Cell(CRITERIA.get(one.name or "", one.name or MISSING), note),
        Cell(count(len(one.members))),
        Cell(percent(one.train_accuracy)),
        Cell(percent(one.test_accuracy)),
        Cell(percent(one.adversarial_accuracy)),
        Cell(decimal(one.distance)),
        Cell(", ".join(one.members) if few else MISSING),
    ]


def chosen(results: Results) -> str | None:
    """Say how few versions are as accurate as all, and what they are worth elsewhere."""
    found = results.reliability.selection
    if found is None or found.full.test_accuracy is None:
        return None
    by_accuracy = next((one for one in found.chosen if one.name == "accuracy"), None)
    if by_accuracy is None:
        return None
    everyone, few = len(found.full.members), len(by_accuracy.members)
    if few == everyone:
        return f"On training images, no fewer than all {everyone} versions are as accurate."
    right, full = by_accuracy, found.full
    attacked = (
        f", on adversarial images on {percent(right.adversarial_accuracy)} and "
        f"{percent(full.adversarial_accuracy)}"
        if right.adversarial_accuracy is not None
        else ""
    )
    are, they = ("is", "it is") if few == 1 else ("are", "they are")
    return (
        f"On training images, {plural(few, 'version')} of {everyone}, chosen greedily, {are} as "
        f"accurate as all; on test images {they} right on {percent(right.test_accuracy)} and all "
        f"on {percent(full.test_accuracy)}{attacked}. No interval of these differences is known."
    )
