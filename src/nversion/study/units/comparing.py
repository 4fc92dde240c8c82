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

__all__ = ["Compared", "compare_on_images"]


@dataclasses.dataclass(frozen=True)
class Compared:
    """A network that takes part, and where its outputs are.

    Attributes:
        name: the version's name, or the network's role.
        on_set: the file of its softmax outputs on the adversarial set ("probabilities").
        on_test: the file of its logits on the test images ("logits").
    """

    name: str
    on_set: Path
    on_test: Path

    def right_on_set(self, labels: Tensor) -> Tensor:
        """Return on which images of the adversarial set it is right, bool [count]."""
        return read_tensor(self.on_set, "probabilities").argmax(dim=1) == labels

    def right_on_test(self, labels: Tensor) -> Tensor:
        """Return on which test images it is right, bool [count]."""
        return read_tensor(self.on_test, "logits").argmax(dim=1) == labels


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


def compare_on_images(
    adversarial: Path,
    verdicts: Path,
    versions: Sequence[Compared],
    networks: Sequence[Compared],
    test_labels: npt.NDArray[np.int64],
    seed: int,
    path: Path,
) -> None:
    """Write who is better than whom on the adversarial set and on the test images.

    Args:
        adversarial: the folder of the adversarial set.
        verdicts: the file of the program's labels of both ("adversarial" and "test").
        versions: that vote, in the study's order.
        networks: baseline and student.
        test_labels: int64 [test images].
        seed: the study's.
        path: where the comparisons go, as JSON.
    """
    truth, judged_set = torch.from_numpy(test_labels), AdversarialSet.load(adversarial)
    comparisons: dict[str, Any] = {
        "resamples": RESAMPLES,
        "fewest": FEWEST,
        "adversarial": None,
    }
    names = [version.name for version in versions]
    draws = numpy_generator(seed, "comparisons")
    if len(judged_set):
        judged = _on_the_set(judged_set, verdicts, versions, networks)
        comparisons["adversarial"] = {
            "images": len(judged_set),
            "source_images": judged_set.source_images,
            "shares": _shares(judged, draws),
            "program_and_best_individual": _against_best_individual(judged, names, draws),
            **_gains(judged, names, draws),
        }
    on_test = Judged(
        torch.stack([version.right_on_test(truth) for version in versions]),
        read_tensor(verdicts, "test") == truth,
        {network.name: network.right_on_test(truth) for network in networks},
        torch.full_like(truth, -1),
        torch.arange(len(truth)),
    )
    comparisons["test"] = {"images": len(truth), **_gains(on_test, names, draws)}
    write_json(path, comparisons)


def _on_the_set(
    adversarial: AdversarialSet,
    verdicts: Path,
    versions: Sequence[Compared],
    networks: Sequence[Compared],
) -> Judged:
    labels = adversarial.labels
    places = {version.name: place for place, version in enumerate(versions)}
    own = torch.tensor([places.get(name, -1) for name in adversarial.versions])
    return Judged(
        torch.stack([version.right_on_set(labels) for version in versions]),
        read_tensor(verdicts, "adversarial") == labels,
        {network.name: network.right_on_set(labels) for network in networks},
        own[adversarial.version_ids],
        adversarial.test_indices,
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
