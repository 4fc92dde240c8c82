from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from nversion.attacks.adef import ADef, deform, differences, gaussian
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def draw(*shape: tuple[int, ...], seed: int = 0) -> Any:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("deviation", [0.0, 0.3, 1.0, 2.5])
def test_gaussian_as_scipys(deviation: float) -> None:
    values = draw(3, 7, 10)
    expected = np.stack([ndimage.gaussian_filter(v, deviation) for v in values.double().numpy()])
    assert np.allclose(gaussian(values, deviation).numpy(), expected, atol=1e-6)


def test_differences_as_numpys() -> None:
    images = draw(2, 3, 5, 6)
    along_y, along_x = np.gradient(images.numpy(), axis=(2, 3))
    x, y = differences(images)
    assert np.allclose(x.numpy(), along_x, atol=1e-6)
    assert np.allclose(y.numpy(), along_y, atol=1e-6)


def test_deform_as_scipys() -> None:
    images, fields = draw(2, 3, 5, 6), 4.0 * draw(2, 2, 5, 6, seed=1) - 2.0
    moved = deform(images, fields)
    y, x = np.mgrid[:5, :6].astype(np.float64)
    for image, field, result in zip(images.numpy(), fields.numpy(), moved.numpy(), strict=True):
        places = [(y + field[1]).clip(0, 4), (x + field[0]).clip(0, 5)]
        for channel, expected in zip(image, result, strict=True):
            read = ndimage.map_coordinates(channel.astype(np.float64), places, order=1)
            assert np.allclose(read, expected, atol=1e-6)


def test_deform_by_nothing_and_by_whole_pixels() -> None:
    images = draw(1, 1, 4, 5)
    assert torch.equal(deform(images, torch.zeros(1, 2, 4, 5)), images)
    right = torch.zeros(1, 2, 4, 5)
    right[:, 0] = 1.0
    expected = torch.cat([images[..., 1:], images[..., -1:]], dim=-1)
    assert torch.equal(deform(images, right), expected)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_a_step_closes_the_gap_to_first_order(smooth: float) -> None:
    images, gradients = draw(2, 3, 6, 6), draw(2, 4, 3, 6, 6, seed=1) - 0.5
    gaps = -draw(2, 4, seed=2) - 0.1
    fields = ADef(smooth=smooth)._steps(images, gaps, gradients)
    slopes = torch.stack(differences(images), dim=1)[:, None]
    along = (gradients[:, :, None] * slopes * fields[:, :, :, None]).flatten(2).sum(dim=2)
    assert torch.allclose(along, -gaps, rtol=1e-4)


def test_success_on_digits(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:30], victim.labels[:30]
        result = ADef()(victim.model, images, labels)
        assert int(result.success.sum()) >= 28
        won = result.success
        # A deformation brings no values that were not there.
        for bound, inside in (("amin", torch.ge), ("amax", torch.le)):
            before = getattr(images[won].flatten(1), bound)(dim=1)
            after = getattr(result.images[won].flatten(1), bound)(dim=1)
            near = (after - before).abs() < 1e-6
            assert (inside(after, before) | near).all()


def test_scaled_down_to_the_boundary(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    near, far = (ADef(overshoot=o)(dense.model, images, labels) for o in (0.02, 0.5))
    both = near.success & far.success
    assert int(both.sum()) >= 18
    with torch.no_grad():
        logits = dense.model(far.images[both])
    top = logits.topk(2, dim=1).values
    assert float((top[:, 0] - top[:, 1]).median()) < 0.05


def sizes(attack: Any, victim: Victim, images: Tensor, labels: Tensor) -> Any:
    """Return the L2 norms of the fields, and of the changes of the images by them."""
    with frozen(victim.model):
        fields = attack.fields(Oracle(victim.model), images, labels)
    changes = deform(images, fields) - images
    return fields.flatten(1).norm(dim=1), changes.flatten(1).norm(dim=1)


def test_refined_fields_are_never_larger_and_often_smaller(
    dense: Victim, convolutional: Victim
) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:30], victim.labels[:30]
        plain, refined = ADef(refinements=0), ADef()
        before, after = (attack(victim.model, images, labels) for attack in (plain, refined))
        assert torch.equal(before.success, after.success)
        assert (after.l2 <= before.l2 * 1.0001)[before.success].all()
        (fields, _), (smaller, _) = (
            sizes(attack, victim, images, labels) for attack in (plain, refined)
        )
        assert (smaller <= fields * 1.0001).all()
        assert float((smaller / fields)[before.success].median()) < 0.95


def test_on_a_linear_network_and_a_ramp_the_field_is_the_smallest_there_is() -> None:
    # A ramp read elsewhere changes by the slope times the way: the margins are linear in the field.
    down, right = 0.02, 0.04
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(10.0), indexing="ij")
    image = (0.2 + right * x + down * y)[None, None]
    weights = draw(4, 8, 10) - 0.5
    # Places beyond the border read it, which is not linear.
    weights[:, [0, -1]] = 0.0
    weights[:, :, [0, -1]] = 0.0
    model = nn.Sequential(nn.Flatten(), nn.Linear(80, 4)).eval()
    with torch.no_grad():
        model[1].weight.copy_(weights.flatten(1))
        values = model[1].weight @ image.flatten()
        model[1].bias.copy_(torch.tensor([0.0, -0.11, -0.10, -0.12]) - values)
    differences_of_weights = (weights[1:] - weights[0]).flatten(1).norm(dim=1)
    expected = (
        torch.tensor([0.11, 0.10, 0.12]) / differences_of_weights / (right**2 + down**2) ** 0.5
    )
    with frozen(model):
        fields = ADef(smooth=0.0).fields(Oracle(model), image, torch.tensor([0]))
    assert float(fields.abs().max()) < 1.0
    assert float(fields.norm()) == pytest.approx(float(expected.min()), rel=0.01)


def test_a_blank_image_cannot_be_deformed() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    images = torch.full((2, 1, 4, 4), 0.5)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    assert not ADef()(model, images, labels).success.any()


def test_single_rows_are_left_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    images = draw(2, 1, 1, 4)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    assert not ADef()(model, images, labels).success.any()


def test_largest_norm(dense: Victim) -> None:
    images, labels = dense.images[:10], dense.labels[:10]
    assert not ADef(max_norm=1e-3)(dense.model, images, labels).success.any()
    assert ADef(max_norm=1e3)(dense.model, images, labels).success.all()


def test_same_bits_in_every_batch(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:6], victim.labels[:6]
        whole = ADef()(victim.model, images, labels).images
        for rows in ([3], [2, 0, 5, 1], [5, 4, 3, 2, 1, 0]):
            part = ADef()(victim.model, images[rows], labels[rows]).images
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 0},
        {"subsample": 1},
        {"smooth": -1.0},
        {"overshoot": -0.1},
        {"max_norm": 0.0},
        {"refinements": -1},
        {"refinements": 1.5},
    ],
)
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        ADef(**options)
