"""Plant faults into 0, 1, 2, ... of the versions, and see what their vote makes of it.

It stands over what the versions answered to the test images; no network is run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nversion.program.planting import fault_counts
from nversion.randomness import derive_seed, numpy_generator
from nversion.study.context import Study
from nversion.study.sections import PlantedFaults
from nversion.study.stages.failing import LEAST_VERSIONS, fitting_voters
from nversion.study.units.planting import PlantFaults
from nversion.study.units.stored import StoredOutputs

__all__ = ["faulty_counts", "plant_into_versions"]


def plant_into_versions(study: Study, outputs: Sequence[StoredOutputs]) -> PlantedFaults | None:
    """Return what the vote decides with faulty versions; None where it was not asked for.

    Args:
        study: that runs.
        outputs: what the versions answer.

    Raises:
        NVersionError: a unit failed.
    """
    section, test = study.config.faults, study.data.test
    count = min(section.images, len(test))
    if count == 0 or len(outputs) < LEAST_VERSIONS:
        return None
    draws = numpy_generator(study.seed, "faults")
    rows = np.sort(draws.permutation(len(test))[:count]).astype(np.int64)
    wished = dict.fromkeys((study.config.program.voter, *section.voters))
    voters = fitting_voters(tuple(wished), len(outputs))
    units = [
        PlantFaults(
            name=f"faults/{kind}",
            answers=tuple(one.on_test for one in outputs),
            labels=test.labels.numpy(),
            rows=rows,
            data=study.data.digest,
            kind=kind,
            voters=voters,
            counts=faulty_counts(section.counts, len(outputs)),
            orders=section.orders,
            seed=derive_seed(study.seed, "faults"),
            path=study.folder.faults(kind),
        )
        for kind in section.kinds
    ]
    study.units.require("planting faults", units)
    found = [PlantedFaults.read(unit.path) for unit in units]
    return found[0].model_copy(update={"curves": [curve for one in found for curve in one.curves]})


def faulty_counts(wished: Sequence[int], versions: int) -> tuple[int, ...]:
    """Return the numbers of faulty versions that are tried: those that are wished, and possible."""
    possible = sorted({0, *(count for count in wished if count <= versions)})
    return tuple(possible if wished else fault_counts(versions))
