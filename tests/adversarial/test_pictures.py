from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from nversion.adversarial import AttackRun, attack_grid, build, comparison, contact_sheet
from nversion.errors import InputError


def drawn(figure: Figure) -> Any:
    """Return the saved picture as an array, [height, width, 3]."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def arrays(figure: Figure) -> list[Any]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def texts(figure: Figure) -> list[str]:
    found = [figure.get_suptitle()]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        found += [axes.get_title(), axes.get_xlabel()]
    return found


def test_a_contact_sheet_has_one_row_for_each_attack(make_run: Callable[..., AttackRun]) -> None:
    adversarial = build([make_run(attack="x"), make_run(attack="y", count=30, seed=1)])
    figure = contact_sheet(adversarial, columns=5)
    assert len(arrays(figure)) == 4 + 5
    assert "x\n4 images" in texts(figure)
    assert "y\n20 images" in texts(figure)
    assert texts(figure).count("0→1") > 0
    first = adversarial.images[0, 0].numpy()
    assert np.array_equal(arrays(figure)[0], first)
    picture = drawn(figure)
    assert picture.min() < 60
    assert picture.max() == 255


def test_a_sample_spans_all_versions(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run(name, seed=i) for i, name in enumerate("abcdefgh")]
    adversarial = build(runs)
    shown = arrays(contact_sheet(adversarial, columns=8))
    versions = set()
    for array in shown:
        same = (adversarial.images[:, 0] == torch.from_numpy(array)).flatten(1).all(1)
        versions |= set(adversarial.version_ids[same].tolist())
    assert len(versions) >= 7


def test_a_sheet_of_nothing_is_refused(make_run: Callable[..., AttackRun]) -> None:
    adversarial = build([make_run()])
    with pytest.raises(InputError, match="empty"):
        contact_sheet(adversarial.select(torch.zeros(4, dtype=torch.bool)))
    with pytest.raises(InputError, match="columns"):
        contact_sheet(adversarial, columns=0)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_comparison_shows_original_image_and_difference(channels: int) -> None:
    original = torch.full((channels, 6, 7), 0.5)
    changed = original.clone()
    changed[0, 2, 3] = 0.1
    figure = comparison(
        original,
        changed,
        label=3,
        original_prediction=3,
        adversarial_prediction=8,
        title="cnn-01, deepfool",
    )
    left, middle, right = arrays(figure)
    assert left.shape == ((6, 7, 3) if channels == 3 else (6, 7))
    assert not np.array_equal(left, middle)
    assert right[2, 3] == pytest.approx(-0.4)
    assert np.count_nonzero(right) == 1
    assert {"prediction: 3", "prediction: 8", "L2 0.40, L∞ 0.40", "cnn-01, deepfool"} <= set(
        texts(figure)
    )
    assert drawn(figure).shape[1] > 800


def test_a_grid_shows_every_attack_and_tells_failures(make_run: Callable[..., AttackRun]) -> None:
    run = make_run(count=3)
    original = run.images[2]
    images = torch.stack([run.images[0], run.images[1], original])
    figure = attack_grid(
        original,
        images,
        ["one", "two", "three"],
        label=2,
        predictions=torch.tensor([7, 8, 2]),
        columns=2,
        title="all of them",
    )
    found = texts(figure)
    assert {"one", "two", "three", "taken for 7", "taken for 8", "failed"} <= set(found)
    shown = arrays(figure)
    assert len(shown) == 7
    assert np.array_equal(shown[0], original[0].numpy())
    assert drawn(figure).std() > 10


def test_a_grid_of_failures_alone_can_be_drawn() -> None:
    original = torch.rand(1, 4, 4)
    figure = attack_grid(original, original[None], ["x"], label=0, predictions=torch.tensor([0]))
    assert "failed" in texts(figure)


def test_pyplot_is_not_touched(make_run: Callable[..., AttackRun]) -> None:
    contact_sheet(build([make_run()]))
    assert plt.get_fignums() == []


def test_parts_that_do_not_fit_are_refused() -> None:
    image = torch.rand(1, 4, 4)
    with pytest.raises(InputError, match="the original must be"):
        comparison(
            image, torch.rand(1, 5, 4), label=0, original_prediction=0, adversarial_prediction=1
        )
    with pytest.raises(InputError, match="one name and one prediction"):
        attack_grid(image, image[None], [], label=0, predictions=torch.tensor([0]))
