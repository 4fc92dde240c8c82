"""Stage 3: the versions' outputs on the adversarial set, and the program's accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet
from nversion.datasets import Dataset
from nversion.device import deterministic, resolve_device
from nversion.evaluation import paired_comparison
from nversion.files import read_object, read_rows, read_tensor, write_json, write_tensors
from nversion.models import evaluate, frozen
from nversion.program import AccuracyCounter, Outputs, vote_outputs
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Unit, code_digest
from nversion.study.train_stage import TrainedVersion
from nversion.versions import Version

__all__ = ["measure_program", "outputs_unit", "read_outputs"]

BLOCK_VALUES = 2**22
"""Stored outputs of all versions that are in memory at once: 16 MB, however many there are."""


def outputs_unit(
    name: str,
    network: Path,
    weights: str,
    folder: StudyFolder,
    set_digest: str,
    output: Path,
    device: torch.device,
) -> Unit:
    """Return the unit that evaluates one network on the adversarial set."""
    return Unit(
        name=name,
        function=_evaluate_on_set,
        arguments={
            "network": network,
            "adversarial": folder.adversarial,
            "output": output,
            "device": device,
        },
        inputs={
            "weights": weights,
            "set": set_digest,
            "device": device.type,
            "code": code_digest(
                "nversion.versions", "nversion.models", "nversion.batches", __name__
            ),
        },
        outputs=(folder.relative(output),),
    )


def _evaluate_on_set(network: Path, adversarial: Path, output: Path, device: torch.device) -> None:
    images = AdversarialSet.load(adversarial).images
    outputs = softmax_outputs(Version.load(network), images, device)
    write_tensors(output, {"probabilities": outputs})


def softmax_outputs(version: Version, images: Tensor, device: torch.device) -> Tensor:
    """Return a version's softmax outputs float32 [count, classes]; none for no images.

    The version is moved to `device`, and stays there.
    """
    if len(images) == 0:
        return torch.zeros(0, version.record.classes)
    with deterministic(device), frozen(version.model.to(device)):
        logits = evaluate(version.model, images)
    # As a Program has them, so that what is voted on here is what it votes on.
    return Outputs.from_logits([logits]).probabilities[0]


def read_outputs(path: Path) -> Tensor:
    """Return the softmax outputs float32 [count, classes] that an outputs unit wrote."""
    return read_tensor(path, "probabilities")


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
            resolve_device(config.run.device),
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
    return read_object(folder.program_summary)


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
    logits = [version / "test-logits.safetensors" for *_, version in outputs]
    voted = [
        vote_outputs(block.softmax(dim=2), voter).labels
        for _, block in _blocks(logits, "logits", len(test_truth))
    ]
    summary: dict[str, Any] = {
        "voter": voter,
        "versions": names,
        "test_accuracy": _share(torch.cat(voted) == test_truth),
        "accuracy_by_n": [],
        "accuracy_by_n_orders": None,
        "mean_individual": None,
        "best_individual": None,
        "best_individual_name": None,
        "against_best": None,
        "accuracy": None,
    }
    if len(truth):
        summary |= _on_the_set(names, [file for _, file, _ in outputs], truth, voter, orders, seed)
    write_json(path, summary)


def _on_the_set(
    names: Sequence[str], files: Sequence[Path], truth: Tensor, voter: str, orders: int, seed: int
) -> dict[str, Any]:
    """Return what the program and its versions get right of the set, in one pass over the files."""
    counter = AccuracyCounter(len(files), voter, orders, seed)
    right = torch.zeros(len(files), dtype=torch.int64)
    program_right = torch.zeros(len(truth), dtype=torch.bool)
    for rows, block in _blocks(files, "probabilities", len(truth)):
        counter.add(block, truth[rows])
        right += (block.argmax(dim=2) == truth[rows]).sum(dim=1)
        program_right[rows] = vote_outputs(block, voter).labels == truth[rows]
    single = right.double() / len(truth)
    best = int(single.argmax())
    best_right = read_outputs(files[best]).argmax(dim=1) == truth
    band, by_n = counter.over_orders(), counter.in_order()
    return {
        "accuracy_by_n": by_n,
        "accuracy_by_n_orders": dataclasses.asdict(band),
        "mean_individual": float(single.mean()),
        "best_individual": float(single[best]),
        "best_individual_name": names[best],
        "against_best": paired_comparison(program_right, best_right),
        "accuracy": by_n[-1],
    }


def _blocks(files: Sequence[Path], name: str, count: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, all versions' outputs on them [versions, rows, classes]), little by little."""
    if count == 0:
        return
    classes = read_rows(files[0], name, slice(0, 1)).shape[1]
    size = max(BLOCK_VALUES // (len(files) * classes), 1)
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows, torch.stack([read_rows(file, name, rows) for file in files])


def _share(right: Tensor) -> float:
    return float(right.double().mean())
