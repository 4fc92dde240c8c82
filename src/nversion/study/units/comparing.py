"""Compare program, best version, baseline and student on the same images.

The adversarial set's images are counted by the test image that they come from, and no version is
judged on images that were made against it. How the best version is picked, and what that does to
the test, is said in :mod:`nversion.evaluation.rival`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet
from nversion.evaluation.clustered import FEWEST, RESAMPLES, clustered_gain, clustered_share
from nversion.evaluation.rival import against_best_version
from nversion.files import read_tensor, write_json
from nversion.randomness import numpy_generator
from nversion.study.units.base import MadeFrom, Unit
from nversion.study.units.stored import StoredOutputs

__all__ = ["Compare"]


@dataclasses.dataclass(frozen=True)
class Judged:
    """Images on which all are judged, and who is right on them.

    Attributes:
        versions: bool [versions, count], in the study's order.
        program: bool [count].
        networks: bool [count] of baseline and student, by role.
        own: int64 [count], the version that each image was made against; -1 for none.
        originals: int64 [count], the test image that each comes from.
    """

    versions: Tensor
    program: Tensor
    networks: Mapping[str, Tensor]
    own: Tensor
    originals: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Compare(Unit):
    """Write who is better than whom on the adversarial set and on the test images.

    Attributes:
        adversarial: the set.
        verdicts: the program's labels of both ("adversarial" and "test").
        versions: that vote, in the study's order.
        networks: baseline and student.
        test_labels: int64 [test images].
        data: digest of the dataset.
        seed: the study's.
        path: where the comparisons go, as JSON.
    """

    adversarial: MadeFrom
    verdicts: MadeFrom
    versions: tuple[StoredOutputs, ...]
    networks: tuple[StoredOutputs, ...]
    test_labels: npt.NDArray[np.int64]
    data: str
    seed: int
    path: Path

    def run(self) -> None:
        """Compare them."""
        adversarial = AdversarialSet.load(self.adversarial.path)
        comparisons: dict[str, Any] = {
            "resamples": RESAMPLES,
            "fewest": FEWEST,
            "adversarial": None,
        }
        names = [version.name for version in self.versions]
        draws = numpy_generator(self.seed, "comparisons")
        if len(adversarial):
            judged = self._on_the_set(adversarial)
            comparisons["adversarial"] = {
                "images": len(adversarial),
                "source_images": adversarial.source_images,
                "shares": _shares(judged, draws),
                "program_and_best_individual": _against_best_individual(judged, names, draws),
                **_gains(judged, names, draws),
            }
        on_test = self._on_test_images()
        comparisons["test"] = {"images": len(self.test_labels), **_gains(on_test, names, draws)}
        write_json(self.path, comparisons)

    def inputs(self) -> Mapping[str, Any]:
        """Return the set, the verdicts, everyone's answers, the images and the seed."""
        return {
            "set": self.adversarial.digest,
            "verdicts": self.verdicts.digest,
            "outputs": [one.inputs() for one in (*self.versions, *self.networks)],
            "data": self.data,
            "seed": self.seed,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the comparisons' file."""
        return (self.path,)

    def _on_the_set(self, adversarial: AdversarialSet) -> Judged:
        labels = adversarial.labels
        places = {version.name: place for place, version in enumerate(self.versions)}
        own = torch.tensor([places.get(name, -1) for name in adversarial.versions])
        return Judged(
            torch.stack([version.right_on_set(labels) for version in self.versions]),
            read_tensor(self.verdicts.path, "adversarial") == labels,
            {network.name: network.right_on_set(labels) for network in self.networks},
            own[adversarial.version_ids],
            adversarial.test_indices,
        )

    def _on_test_images(self) -> Judged:
        truth = torch.from_numpy(self.test_labels)
        return Judged(
            torch.stack([version.right_on_test(truth) for version in self.versions]),
            read_tensor(self.verdicts.path, "test") == truth,
            {network.name: network.right_on_test(truth) for network in self.networks},
            torch.full_like(truth, -1),
            torch.arange(len(truth)),
        )


def _shares(judged: Judged, draws: np.random.Generator) -> dict[str, Any]:
    everyone = {"program": judged.program, **judged.networks}
    return {
        who: dataclasses.asdict(clustered_share(right.numpy(), judged.originals.numpy(), draws))
        for who, right in everyone.items()
    }


def _gains(judged: Judged, names: Sequence[str], draws: np.random.Generator) -> dict[str, Any]:
    networks = judged.networks

    def gain(first: Tensor, second: Tensor) -> dict[str, Any]:
        found = clustered_gain(first.numpy(), second.numpy(), judged.originals.numpy(), draws)
        return dataclasses.asdict(found)

    rival = against_best_version(
        judged.program, judged.versions, judged.own, judged.originals, draws
    )
    return {
        "program_and_best_version": rival
        and {
            "name": names[rival.version],
            **dataclasses.asdict(rival.gain),
            "p_picked": rival.p_picked,
        },
        "program_and_baseline": gain(judged.program, networks["baseline"]),
        "student_and_baseline": gain(networks["student"], networks["baseline"]),
    }


def _against_best_individual(
    judged: Judged, names: Sequence[str], draws: np.random.Generator
) -> dict[str, Any]:
    best = int(judged.versions.sum(dim=1).argmax())
    theirs, originals = judged.versions[best], judged.originals.numpy()
    gain = clustered_gain(judged.program.numpy(), theirs.numpy(), originals, draws)
    return {
        "name": names[best],
        "only_first": int((judged.program & ~theirs).sum()),
        "only_second": int((theirs & ~judged.program).sum()),
        **dataclasses.asdict(gain),
    }
