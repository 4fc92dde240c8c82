"""Stage 3: the versions' outputs on the adversarial set, and the program's accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet
from nversion.datasets import Dataset
from nversion.evaluation import paired_comparison
from nversion.files import read_json, read_tensors, write_json, write_tensors
from nversion.models import evaluate, frozen
from nversion.program import accuracy_by_n, accuracy_by_n_orders, vote_outputs
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Unit, code_digest
from nversion.study.train_stage import TrainedVersion
from nversion.versions import Version

__all__ = ["measure_program", "outputs_unit", "read_outputs"]


def outputs_unit(
    name: str,
    network: Path,
    weights: str,
    folder: StudyFolder,
    set_digest: str,
    output: Path,
) -> Unit:
    """Return the unit that evaluates one network on the adversarial set."""
    return Unit(
        name=name,
        function=_evaluate_on_set,
        arguments={"network": network, "adversarial": folder.adversarial, "output": output},
        inputs={
            "weights": weights,
            "set": set_digest,
            "code": code_digest(
                "nversion.versions", "nversion.models", "nversion.batches", __name__
            ),
        },
        outputs=(folder.relative(output),),
    )


def _evaluate_on_set(network: Path, adversarial: Path, output: Path) -> None:
    images = AdversarialSet.load(adversarial).images
    write_tensors(output, {"probabilities": softmax_outputs(Version.load(network), images)})


def softmax_outputs(version: Version, images: Tensor) -> Tensor:
    """Return a version's softmax outputs float32 [count, classes]; none for no images."""
    if len(images) == 0:
        return torch.zeros(0, version.record.classes)
    with frozen(version.model):
        return evaluate(version.model, images).softmax(dim=1)


def read_outputs(path: Path) -> Tensor:
    """Return the softmax outputs float32 [count, classes] that an outputs unit wrote."""
    return read_tensors(path)[0]["probabilities"]


def measure_program(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    versions: Sequence[TrainedVersion],
    adversarial: AdversarialSet,
    set_digest: str,
    engine: Engine,
) -> dict[str, Any]:
    """Return the program's accuracies as JSON values (the key "program" of the results)."""
    units = [
        outputs_unit(
            f"program/outputs/{version.name}",
            version.folder,
            version.weights,
            folder,
            set_digest,
            folder.outputs(version.name),
        )
        for version in versions
    ]
    entries = engine.require("evaluating versions", units)
    summary = Unit(
        name="program/summary",
        function=_summarise,
        arguments={
            "labels": adversarial.labels.numpy(),
            "test_labels": data.test.labels.numpy(),
            "outputs": [(v.name, folder.outputs(v.name), v.folder) for v in versions],
            "voter": config.program.voter,
            "orders": config.program.orders,
            "seed": derive_seed(config.seed, "orders"),
            "path": folder.program_summary,
        },
        inputs={
            "outputs": [_only_output(entry) for entry in entries.values()],
            "versions": [version.name for version in versions],
            "weights": [version.weights for version in versions],
            "data": data.digest,
            "voter": config.program.voter,
            "orders": config.program.orders,
            "seed": config.seed,
            "code": code_digest("nversion.program", __name__),
        },
        outputs=(folder.relative(folder.program_summary),),
    )
    engine.require("voting", [summary])
    return dict(read_json(folder.program_summary))


def _only_output(entry: Entry) -> str:
    (checksum,) = entry.outputs.values()
    return checksum


def _summarise(
    labels: Any,
    test_labels: Any,
    outputs: Sequence[tuple[str, Path, Path]],
    voter: str,
    orders: int,
    seed: int,
    path: Path,
) -> None:
    truth, test_truth = torch.from_numpy(labels), torch.from_numpy(test_labels)
    names = [name for name, _, _ in outputs]
    on_test = torch.stack(
        [
            read_tensors(version / "test-logits.safetensors")[0]["logits"].softmax(dim=1)
            for _, _, version in outputs
        ]
    )
    summary: dict[str, Any] = {
        "voter": voter,
        "versions": names,
        "test_accuracy": _share(vote_outputs(on_test, voter).labels == test_truth),
        "accuracy_by_n": [],
        "accuracy_by_n_orders": None,
        "mean_individual": None,
        "best_individual": None,
        "best_individual_name": None,
        "against_best": None,
        "accuracy": None,
    }
    del on_test
    if len(truth):
        on_set = torch.stack([read_outputs(file) for _, file, _ in outputs])
        single = (on_set.argmax(dim=2) == truth).double().mean(dim=1)
        band = accuracy_by_n_orders(on_set, truth, orders=orders, seed=seed, voter=voter)
        by_n = accuracy_by_n(on_set, truth, voter)
        best = int(single.argmax())
        program_right = vote_outputs(on_set, voter).labels == truth
        best_right = on_set[best].argmax(dim=1) == truth
        summary |= {
            "accuracy_by_n": by_n,
            "accuracy_by_n_orders": {
                "orders": band.orders,
                "mean": band.mean,
                "low": band.low,
                "high": band.high,
            },
            "mean_individual": float(single.mean()),
            "best_individual": float(single[best]),
            "best_individual_name": names[best],
            "against_best": paired_comparison(program_right, best_right),
            "accuracy": by_n[-1],
        }
    write_json(path, summary)


def _share(right: Tensor) -> float:
    return float(right.double().mean())
