"""The stage of faulty versions: what a study writes is what the library says of its outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nversion.datasets import load_dataset
from nversion.errors import ConfigError
from nversion.files import read_tensor
from nversion.program import plant_faults
from nversion.randomness import derive_seed, numpy_generator
from nversion.study import make_config, run_study
from nversion.study.stages.planting import faulty_counts


def test_the_section_is_what_the_library_finds(tiny: dict[str, Any], tmp_path: Path) -> None:
    wished = {"images": 50, "orders": 2, "kinds": ["stuck", "lying"], "voters": ["majority"]}
    config = make_config({**tiny, "faults": wished})
    results = run_study(config, tmp_path / "study")
    found = results.program.faults
    assert found is not None
    names = results.program.versions or []
    drawn = numpy_generator(config.seed, "faults").permutation(len(load_dataset("digits").test))
    rows = torch.from_numpy(np.sort(drawn[:50]))
    folders = [tmp_path / "study" / "versions" / name for name in names]
    logits = torch.stack([read_tensor(f / "test-logits.safetensors", "logits") for f in folders])
    curves = plant_faults(
        logits[:, rows],
        load_dataset("digits").test.labels[rows],
        [config.program.voter, "majority"],
        kinds=["stuck", "lying"],
        orders=2,
        seed=derive_seed(config.seed, "faults"),
    )
    assert [one.to_json() for one in found.curves] == [one.to_json() for one in curves]
    assert (found.images, found.orders, found.quorum) == (50, 2, len(names) // 2 + 1)
    assert found.of("lying", "majority") is not None
    assert found.of("silent", "majority") is None


def test_counts_are_those_that_are_possible() -> None:
    assert faulty_counts((), 5) == (0, 1, 2, 3, 4)
    assert faulty_counts((9, 2, 1), 5) == (0, 1, 2)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"kinds": ["bit-flips"]}, "faults.kinds"),
        ({"kinds": ["stuck", "stuck"]}, "twice"),
        ({"voters": ["pluralty"]}, "plurality"),
    ],
)
def test_malformed_settings_are_refused_beforehand(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config({"faults": section})
