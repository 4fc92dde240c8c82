"""Attack the program itself, as its versions grow in number, and what it stands beside.

The adversarial set is made against single versions, so that what it says of the program is what an
attacker does who does not know it. Here the vote is the target, on the same images for all: the
program of the first 1, 3, ... and of all versions, the versions that do best on images made against
others, the baseline and the student, all by the same means.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from nversion.evaluation.clustered import FEWEST, clustered_gain, holm
from nversion.evaluation.whole import KNOWN_RADII, holding, median_distance
from nversion.files import read_object, read_tensors
from nversion.randomness import derive_seed, generator, numpy_generator
from nversion.study.context import Study
from nversion.study.sections import (
    Holding,
    Whole,
    WholeBudget,
    WholeCheck,
    WholeDistances,
    WholeGain,
    WholeSubject,
)
from nversion.study.twins import SIGNIFICANT
from nversion.study.units.attacking_whole import AttackWhole
from nversion.study.units.examining_whole import BUDGET, ExamineWhole, MeasureBudget
from nversion.study.units.trained import TrainedVersion

__all__ = ["PART", "attack_whole", "subject_count"]

PART = 15
"""Images a unit treats: few, so that all cores have work to the end."""

Kind = Literal["program", "version", "baseline", "student"]


@dataclass(frozen=True)
class _Subject:
    """What is attacked: one network or several that vote."""

    name: str
    kind: Kind
    versions: tuple[TrainedVersion, ...]


def attack_whole(
    study: Study,
    versions: Sequence[TrainedVersion],
    networks: Mapping[str, TrainedVersion],
    accuracies: Mapping[str, float | None],
) -> Whole | None:
    """Return what attacks on the program itself found; None where none were asked for.

    Args:
        study: that runs.
        versions: that vote, in their order.
        networks: baseline and student, by role.
        accuracies: of the versions on the images that were not made against them, by name.

    Raises:
        NVersionError: a part could not be attacked.
    """
    section = study.config.whole
    count = min(section.images, len(study.data.test))
    if count == 0:
        return None
    order = torch.randperm(len(study.data.test), generator=generator(study.seed, "whole"))
    drawn = order[:count].sort().values.numpy()
    subjects = _subjects(study, versions, networks, accuracies)
    norms = [str(norm) for norm in section.norms]
    units = {
        (subject.name, norm): _units(study, subject, norm, drawn)
        for subject in subjects
        for norm in norms
    }
    study.units.require("attacking the vote", [unit for each in units.values() for unit in each])
    budgets = _measure_budgets(study, tuple(versions), norms, drawn)
    checks = _examine(study, tuple(versions[: section.checked_versions]), drawn)
    found = [
        WholeSubject(
            name=subject.name,
            kind=subject.kind,
            versions=len(subject.versions),
            norms={norm: _distances(units[subject.name, norm], norm) for norm in norms},
        )
        for subject in subjects
    ]
    program = max(
        (one for one in found if one.kind == "program"), key=lambda subject: subject.versions
    )
    medians = {norm: program.norms[norm].median for norm in norms}
    return Whole(
        images=count,
        test_indices=drawn.tolist(),
        voter=study.config.program.voter,
        l2_median=medians.get("2"),
        linf_median=medians.get("inf"),
        subjects=found,
        gains=_gains(study, program, found, norms),
        budget={norm: _budget(unit, program.norms[norm].median) for norm, unit in budgets.items()},
        **_checked(checks),
    )


def subject_count(sizes: Sequence[int], best: int, versions: int) -> list[int]:
    """Return how many networks each subject has, in the order in which they are attacked."""
    grown = sorted({size for size in sizes if size < versions} | {versions})
    return [*grown, *[1] * min(best, versions), 1, 1]


def _subjects(
    study: Study,
    versions: Sequence[TrainedVersion],
    networks: Mapping[str, TrainedVersion],
    accuracies: Mapping[str, float | None],
) -> list[_Subject]:
    section = study.config.whole
    known = [one for one in versions if accuracies.get(one.name) is not None] or list(versions)
    best = sorted(known, key=lambda one: -(accuracies.get(one.name) or 0.0))[: section.best]
    counts = subject_count(section.sizes, len(best), len(versions))
    sizes = counts[: len(counts) - len(best) - 2]
    roles: tuple[Kind, ...] = ("baseline", "student")
    return [
        *(_Subject(f"program of {n}", "program", tuple(versions[:n])) for n in sizes),
        *(_Subject(one.name, "version", (one,)) for one in best),
        *(_Subject(role, role, (networks[role],)) for role in roles),
    ]


def _units(
    study: Study, subject: _Subject, norm: str, drawn: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[AttackWhole]:
    return [
        AttackWhole(
            name=f"whole/{subject.name.replace(' ', '-')}/l{norm}-{part:03d}",
            cost=len(subject.versions) * len(drawn[start : start + PART]),
            versions=subject.versions,
            voter=study.config.program.voter,
            norm=norm,
            shared=study.shared,
            drawn=drawn[start : start + PART],
            seed=derive_seed(study.seed, "whole", norm),
            device=study.device,
            path=study.folder.whole(subject.name.replace(" ", "-"), norm, part),
        )
        for part, start in enumerate(range(0, len(drawn), PART))
    ]


def _measure_budgets(
    study: Study,
    versions: tuple[TrainedVersion, ...],
    norms: Sequence[str],
    drawn: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> dict[str, MeasureBudget]:
    """Measure where the distance of all versions' vote goes; return the units by norm."""
    units = {
        norm: MeasureBudget(
            name=f"whole/budget/l{norm}",
            versions=versions,
            voter=study.config.program.voter,
            norm=norm,
            shared=study.shared,
            drawn=drawn,
            device=study.device,
            path=study.folder.whole_budget(norm),
        )
        for norm in norms
    }
    study.units.require("measuring the diversity budget", list(units.values()))
    return units


def _budget(unit: MeasureBudget, measured: float | None) -> WholeBudget:
    """Return a budget's medians, and its distances image by image."""
    tensors, facts = read_tensors(unit.path)
    medians = {name: _nan_median(tensors[name]) for name in BUDGET}
    distances = {
        f"{name}_distances": [_finite(value) for value in tensors[name].tolist()]
        for name in ("predicted", "best_member")
    }
    return WholeBudget.model_validate({**medians, **distances, **facts, "measured": measured})


def _nan_median(values: torch.Tensor) -> float | None:
    known = values[~values.isnan()].double()
    return _finite(float(np.median(known.numpy()))) if len(known) else None


def _examine(
    study: Study,
    versions: tuple[TrainedVersion, ...],
    drawn: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> ExamineWhole | None:
    """Check whether the attacks on a vote can be believed; None where that is not asked for."""
    section = study.config.whole
    if not section.checked_images:
        return None
    unit = ExamineWhole(
        name="whole/checks",
        versions=versions,
        voter=study.config.program.voter,
        norm=str(section.norms[-1]),
        shared=study.shared,
        drawn=drawn[: section.checked_images],
        seed=derive_seed(study.seed, "whole", "checks"),
        device=study.device,
        path=study.folder.whole_checks,
    )
    # What cannot be checked (no image is classified correctly) is noted as a failure, and no more.
    return unit if study.units.run("checking the attacks", [unit]) else None


def _checked(unit: ExamineWhole | None) -> dict[str, Any]:
    if unit is None:
        return {}
    found = read_object(unit.path)
    return {
        "checks": [WholeCheck(**check) for check in found["checks"]],
        "checked_versions": len(unit.versions),
        "checked_images": found["images"],
    }


def _distances(units: Sequence[AttackWhole], norm: str) -> WholeDistances:
    """Return what the parts of one subject say together."""
    parts = [read_tensors(unit.path) for unit in units]
    distances = torch.cat([tensors["distances"] for tensors, _ in parts]).double().numpy()
    middle = median_distance(distances)
    wrong = None
    if "wrong" in parts[0][0]:
        wrong = median_distance(torch.cat([tensors["wrong"] for tensors, _ in parts])).value
    names = Counter(name for _, facts in parts for name in facts["attack"] if name)
    return WholeDistances(
        median=_finite(middle.value),
        low=_finite(middle.low),
        high=_finite(middle.high),
        distances=[_finite(value) for value in distances.tolist()],
        wrong_median=None if wrong is None else _finite(wrong),
        holding=[Holding(**asdict(one)) for one in holding(distances, KNOWN_RADII[norm])],
        found_by=dict(names.most_common()),
        forwards=sum(facts["forwards"] for _, facts in parts),
        backwards=sum(facts["backwards"] for _, facts in parts),
        seconds=sum(facts["seconds"] for _, facts in parts),
    )


def _gains(
    study: Study, program: WholeSubject, subjects: Sequence[WholeSubject], norms: Sequence[str]
) -> list[WholeGain]:
    """Return the program's distances against the best version's and the baseline's."""
    furthest = {"2": math.sqrt(math.prod(study.data.shape)), "inf": 1.0}
    found: list[WholeGain] = []
    for norm in norms:
        versions = [one for one in subjects if one.kind == "version"]
        rivals = [max(versions, key=lambda one: _median(one, norm))] if versions else []
        rivals += [one for one in subjects if one.kind == "baseline"]
        for rival in rivals:
            ours, theirs = (
                [furthest[norm] if d is None else d for d in one.norms[norm].distances]
                for one in (program, rival)
            )
            draws = numpy_generator(study.seed, "whole", norm, str(rival.name))
            gain = asdict(clustered_gain(ours, theirs, range(len(ours)), draws))
            # The best version is picked by these images, so that its p-value is multiplied.
            picked = len(versions) if rival.kind == "version" else 1
            gain["p_value"] = min(1.0, gain["p_value"] * picked)
            found.append(
                WholeGain(**gain, name=rival.name, kind=rival.kind, norm=norm, verdict="too few")
            )
    if not found or found[0].clusters < FEWEST:
        return found
    corrected = holm([gain.p_value for gain in found])
    return [_judged(gain, p) for gain, p in zip(found, corrected, strict=True)]


def _judged(gain: WholeGain, p_holm: float) -> WholeGain:
    verdict = "level"
    if p_holm < SIGNIFICANT:
        verdict = "better" if gain.difference > 0 else "worse"
    return gain.model_copy(update={"p_holm": p_holm, "verdict": verdict})


def _median(subject: WholeSubject, norm: str) -> float:
    median = subject.norms[norm].median
    return math.inf if median is None else median


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
