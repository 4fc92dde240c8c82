from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nversion.adversarial import AttackExample, AttackRun, choose_example, summarise
from nversion.errors import ArtefactError, InputError


def originals_of(run: AttackRun, seed: int = 0) -> Tensor:
    return torch.rand(run.images.shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(name="runs")
def _runs(make_run: Callable[..., AttackRun]) -> list[AttackRun]:
    return [make_run("a", "gradient"), make_run("a", "random-pgd", strength=0.9)]


@pytest.fixture(name="example")
def _example(runs: list[AttackRun]) -> AttackExample:
    # Row 4 of both runs; success in both.
    original = originals_of(runs[0])[4]
    return AttackExample.of(runs, int(runs[0].test_indices[4]), original)


def test_the_image_that_most_attacks_solved_is_chosen(make_run: Callable[..., AttackRun]) -> None:
    only = torch.tensor([False, True, False, False, True, False])
    runs = [
        make_run("b", "gradient"),
        make_run("a", "gradient"),
        make_run("b", "random-pgd", success=only),
        make_run("a", "random-pgd", success=only),
    ]
    # Rows 1 and 4 were solved by both attacks on both versions; b is first, row 4 has index 7.
    assert runs[0].test_indices.tolist() == [35, 28, 21, 14, 7, 0]
    assert choose_example(runs) == ("b", 7)
    assert choose_example(runs[1::2]) == ("a", 7)
    # One attack alone: a single success beats none, whatever the version.
    nothing = make_run("b", success=torch.zeros(6, dtype=torch.bool))
    assert choose_example([nothing, make_run("a", success=only)]) == ("a", 7)


def test_where_no_attack_succeeded_there_is_no_example(make_run: Callable[..., AttackRun]) -> None:
    assert choose_example([make_run(success=torch.zeros(6, dtype=torch.bool))]) is None
    assert choose_example([]) is None


def test_it_holds_each_attacks_row(example: AttackExample, runs: list[AttackRun]) -> None:
    assert (example.version, example.test_index, example.label) == ("a", 7, 0)
    assert example.attacks == ("gradient", "random-pgd")
    for place, run in enumerate(runs):
        assert torch.equal(example.images[place], run.images[4])
        assert example.l2[place] == run.l2[4]
        assert example.predictions[place] == run.predictions[4]


def test_an_attack_that_did_not_try_the_image_is_refused(
    runs: list[AttackRun], make_run: Callable[..., AttackRun]
) -> None:
    original = originals_of(runs[0])[0]
    with pytest.raises(InputError, match="gradient did not try test image 1"):
        AttackExample.of(runs, 1, original)
    with pytest.raises(InputError, match="one version, not of 2"):
        AttackExample.of([*runs, make_run("b")], 7, original)
    with pytest.raises(InputError, match="original must be"):
        AttackExample.of(runs, 7, torch.zeros(1, 2, 2))


def test_the_round_trip_is_exact(example: AttackExample, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "example.safetensors"
    example.save(path)
    loaded = AttackExample.load(path)
    for field in dataclasses.fields(example):
        before, after = getattr(example, field.name), getattr(loaded, field.name)
        same = torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after
        assert same, field.name


def test_damage_and_foreign_files_are_noticed(
    example: AttackExample, runs: list[AttackRun], tmp_path: Path
) -> None:
    path = tmp_path / "example.safetensors"
    example.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match="does not match its digest"):
        AttackExample.load(path)
    runs[0].save(path)
    with pytest.raises(ArtefactError, match="not an example of attacks, but attack-run"):
        AttackExample.load(path)
    with pytest.raises(ArtefactError, match="no such file"):
        AttackExample.load(tmp_path / "other")


def pixels(text: str) -> Any:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    return np.asarray(image)


def test_as_json_its_pictures_are_the_images_in_8_bits(
    example: AttackExample, runs: list[AttackRun]
) -> None:
    values = example.to_json(summarise(runs))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert pixels(values["original"]).shape == (5, 4)
    for place, row in enumerate(values["attacks"]):
        image, original = example.images[place, 0], example.original[0]
        assert np.array_equal(pixels(row["image"]), (image * 255).round().numpy())
        change = (pixels(row["difference"]).astype(float) - 128) / 127 * row["difference_scale"]
        close = row["difference_scale"] / 127
        assert np.abs(change - (image - original).numpy()).max() <= 0.51 * close
        assert row["linf"] == pytest.approx(float(runs[place].linf[4]))
    weak, strong = values["attacks"]
    assert (weak["in_adversarial_set"], weak["reason"]) == (True, None)
    assert strong["in_adversarial_set"] is False
    assert strong["reason"].startswith("visible: ")


def test_an_attack_that_failed_has_no_picture(make_run: Callable[..., AttackRun]) -> None:
    runs = [
        make_run("a", "gradient"),
        make_run("a", "random-pgd", success=torch.zeros(6, dtype=torch.bool)),
    ]
    example = AttackExample.of(runs, 7, originals_of(runs[0])[4])
    failed = example.to_json(summarise(runs))["attacks"][1]
    assert failed["success"] is False
    gone = ("image", "difference", "difference_scale", "l0", "l1", "l2", "linf", "ssim")
    assert all(failed[key] is None for key in gone)


def test_colours_stay_colours(make_run: Callable[..., AttackRun]) -> None:
    run = make_run(size=(3, 5, 4))
    example = AttackExample.of([run], 7, originals_of(run)[4])
    values = example.to_json(summarise([run]))
    assert pixels(values["original"]).shape == (5, 4, 3)
    assert pixels(values["attacks"][0]["difference"]).shape == (5, 4)
