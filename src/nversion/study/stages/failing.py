"""How the versions fail together, and which of them would be enough: the reliability laboratory.

All but the choice of versions stands over what they answered for the program's sake.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nversion.adversarial import AdversarialSet
from nversion.errors import InputError
from nversion.program import create_voter, voter_names
from nversion.randomness import derive_seed, numpy_generator
from nversion.study.context import Study
from nversion.study.sections import FailuresTogether, Reliability, Section, Selection, VoterCurve
from nversion.study.stages.voting import Voted
from nversion.study.units.asking import AskOnTraining
from nversion.study.units.base import MadeFrom
from nversion.study.units.choosing import ChooseVersions
from nversion.study.units.covering import CoverImages
from nversion.study.units.failing import MeasureFailures
from nversion.study.units.trained import TrainedVersion

__all__ = ["LEAST_VERSIONS", "fitting_voters", "measure_reliability"]

LEAST_VERSIONS = 2
"""One version does not fail together with any."""

MOST_ATTACKED = 128
"""Versions whose gradients are asked for: of more, the products of all pairs are too many."""


class Curves(Section):
    """What the unit of the voters wrote."""

    voters: list[VoterCurve]


def measure_reliability(
    study: Study,
    versions: Sequence[TrainedVersion],
    voted: Voted,
    adversarial: AdversarialSet,
) -> Reliability:
    """Return the key "reliability" of the results.

    Args:
        study: that runs.
        versions: all of them.
        voted: what they answer.
        adversarial: the set.

    Raises:
        NVersionError: a measurement failed.
    """
    if len(versions) < LEAST_VERSIONS:
        return Reliability(test=None, adversarial=None, selection=None)
    on_test, on_set = (
        [one.on_test for one in voted.outputs],
        [one.on_set for one in voted.outputs],
    )
    test_labels = study.data.test.labels.numpy()
    kinds = {
        "test": (on_test, "logits", test_labels, None, study.data.digest),
        "adversarial": (
            on_set,
            "probabilities",
            adversarial.labels.numpy(),
            adversarial.test_indices.numpy(),
            adversarial.digest,
        ),
    }
    found = {kind: _together(study, kind, *material) for kind, material in kinds.items()}
    return Reliability(**found, selection=_selection(study, versions, voted, adversarial))


def _together(
    study: Study,
    kind: str,
    answers: Sequence[MadeFrom],
    tensor: str,
    labels: npt.NDArray[np.int64],
    originals: npt.NDArray[np.int64] | None,
    data: str,
) -> FailuresTogether | None:
    """Return how the versions fail together on one kind of images; None if there are none."""
    section = study.config.reliability
    failures = MeasureFailures(
        name=f"reliability/{kind}",
        answers=tuple(answers),
        tensor=tensor,
        labels=labels,
        originals=originals,
        data=data,
        resamples=section.resamples,
        orders=section.orders,
        seed=derive_seed(study.seed, "reliability", kind),
        path=study.folder.reliability(kind),
        matrices=study.folder.diversity(kind),
    )
    voters = CoverImages(
        name=f"reliability/voters/{kind}",
        answers=tuple(answers),
        tensor=tensor,
        labels=labels,
        data=data,
        voters=fitting_voters((*voter_names(), study.config.program.voter), len(answers)),
        path=study.folder.reliability(f"voters-{kind}"),
    )
    study.units.require(f"measuring failures ({kind})", [failures, voters])
    if len(labels) == 0:
        return None
    together = FailuresTogether.read(failures.path)
    return together.model_copy(update={"voters": Curves.read(voters.path).voters})


def fitting_voters(names: Sequence[str], versions: int) -> tuple[str, ...]:
    """Return the voters that so many versions can have, each once."""
    found = []
    for name in dict.fromkeys(names):
        try:
            create_voter(name).check(versions, None)
        except InputError:
            continue
        found.append(name)
    return tuple(found)


def _selection(
    study: Study,
    versions: Sequence[TrainedVersion],
    voted: Voted,
    adversarial: AdversarialSet,
) -> Selection | None:
    """Return which versions would be enough; None if it is not asked for."""
    section = study.config.reliability
    count = min(section.training_images, len(study.data.train))
    if count == 0:
        return None
    draws = numpy_generator(study.seed, "chosen on")
    rows = draws.permutation(len(study.data.train))[:count].astype(np.int64)
    asked = [
        AskOnTraining(
            name=f"reliability/training/{version.name}",
            network=version,
            shared=study.shared,
            rows=rows,
            device=study.device,
            path=study.folder.training_outputs(version.name),
        )
        for version in versions
    ]
    entries = study.units.require("asking versions on training images", asked)
    choose = ChooseVersions(
        name="reliability/selection",
        versions=tuple(versions),
        answers=voted.outputs,
        on_training=tuple(study.output(entries[unit.name], unit.path) for unit in asked),
        shared=study.shared,
        rows=rows,
        white_box_images=section.white_box_images if len(versions) <= MOST_ATTACKED else 0,
        labels=adversarial.labels.numpy(),
        voter=study.config.program.voter,
        path=study.folder.reliability("selection"),
    )
    study.units.require("choosing versions", [choose])
    return Selection.read(choose.path)
