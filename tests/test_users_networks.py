"""What users of other verifiers and attack libraries ran into, tried on networks like theirs.

Each row is a public thread: where it was, what went wrong there, and a check that it does not here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import nversion as nv
from nversion.certification import margin_bounds
from nversion.certification.bounds import relaxation
from nversion.errors import NVersionError, OutputsWarning, UnsupportedModuleError
from nversion.models import predict

NORMS = (1, 2, float("inf"))


def drawn(*shape: int, count: int = 3) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def ready(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network's batch norms statistics of their own, some scales below 0."""
    draws = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=draws) * 0.1)
            assert module.running_var is not None
            module.running_var.copy_(torch.rand(module.num_features, generator=draws) + 0.5)
            if module.affine:
                with torch.no_grad():
                    module.weight.copy_(torch.randn(module.num_features, generator=draws))
    return model.eval()


def kept(model: nn.Module, shape: tuple[int, ...], methods: tuple[str, ...] = ("linear",)) -> None:
    """Certify a network, and look within the balls for an image that it takes for another.

    At radius 0 the bounds are the network's own margins.
    """
    images = drawn(*shape)
    labels = predict(model, images)
    with torch.no_grad():
        logits = model(images).double()
    margins = logits.gather(1, labels[:, None]) - logits
    tight = margin_bounds(model, images, labels, torch.zeros(len(images)), 2, box=None)
    assert torch.allclose(tight.double(), margins, atol=1e-4)
    draws = torch.Generator().manual_seed(2)
    for method in methods:
        for norm in NORMS:
            options = {"steps": 2} if method == "alpha" else {}
            radii = nv.certify(
                model, images, labels, norm=norm, method=method, box=None, **options
            ).double()
            assert bool((radii > 0).all()), (method, norm)
            radii = radii.clamp(max=10.0)
            for _ in range(30):
                way = torch.randn(images.shape, generator=draws, dtype=torch.float64)
                length = way.flatten(1).norm(p=norm, dim=1)
                move = way * (0.999 * radii / length)[:, None, None, None]
                assert torch.equal(predict(model, (images + move).float()), labels), (method, norm)


def refused(model: nn.Module, shape: tuple[int, ...], said: str) -> None:
    images = drawn(*shape)
    with pytest.raises(UnsupportedModuleError, match=said):
        nv.certify(model, images, predict(model, images), norm=2)


class Branches(nn.Module):
    """A sum of two linear branches, of which nothing comes before."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        result: Tensor = self.last(torch.relu(self.one(flat) + self.other(flat)))
        return result


class Called(nn.Module):
    """A network with a step written as a function."""

    def __init__(self, step: Callable[[Tensor], Tensor], network: nn.Module) -> None:
        super().__init__()
        self.step, self.network = step, network

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.network(self.step(images))
        return result


def a_stem_of_a_residual_network() -> None:
    stem = [nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.ReLU()]
    kept(ready(nn.Sequential(*stem, nn.Flatten(), nn.Linear(27, 4))), (1, 6, 6))


def two_pools_and_no_rectifier() -> None:
    layers = [nn.MaxPool2d(2, 1), nn.Conv2d(1, 2, 1, padding=1), nn.MaxPool2d(2), nn.Flatten()]
    kept(nn.Sequential(*layers, nn.Linear(2, 3)).eval(), (1, 2, 2), ("linear", "alpha"))


def a_pool_that_no_linear_layer_follows() -> None:
    layers = [nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 3, 1), nn.MaxPool2d(2)]
    kept(nn.Sequential(*layers, nn.Flatten(), nn.Linear(3, 3)).eval(), (1, 6, 6))


def two_linear_branches_are_added() -> None:
    kept(Branches().eval(), (1, 4, 4))


def padding_never_wins_a_maximum() -> None:
    conv = nn.Conv2d(1, 2, 1)
    nn.init.constant_(conv.bias, -5.0)  # type: ignore[arg-type]
    pooled = nn.Sequential(conv, nn.MaxPool2d(2, 2, 1), nn.Flatten(), nn.Linear(18, 3)).eval()
    kept(pooled, (1, 4, 4))


def zeros_that_are_put_around_do_win_it() -> None:
    conv = nn.Conv2d(1, 2, 1)
    nn.init.constant_(conv.bias, -5.0)  # type: ignore[arg-type]
    padded = nn.Sequential(
        conv, nn.ZeroPad2d(1), nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(18, 3)
    ).eval()
    refused(padded, (1, 4, 4), "ZeroPad2d")


def a_rectifiers_order_is_not_the_images() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    refused(Called(lambda x: x.permute(0, 1, 3, 2), network).eval(), (2, 4, 4), "permute")
    shuffled = nn.Sequential(nn.Conv2d(1, 4, 1), nn.PixelShuffle(2), nn.Flatten(), nn.Linear(64, 3))
    refused(shuffled.eval(), (1, 4, 4), "PixelShuffle")


def a_pools_stride_counts_and_a_sigmoid_may_end_it() -> None:
    layers = [nn.Conv2d(1, 2, 2), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(8, 3), nn.Sigmoid()]
    kept(nn.Sequential(*layers).eval(), (1, 4, 4))


def batch_norms_count_by_their_running_statistics() -> None:
    layers = [nn.BatchNorm2d(1, affine=False), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()]
    model = ready(nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 3)))
    kept(model, (1, 4, 4))
    images = drawn(1, 4, 4)
    labels = predict(model, images)
    before = nv.certify(model, images, labels, norm=2)
    model.train()
    assert torch.equal(nv.certify(model, images, labels, norm=2), before)
    assert model.training


def a_clamp_gives_no_nan() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    refused(Called(lambda x: x.clamp(0.0, 1.0), network).eval(), (1, 4, 4), "clamp")


def radii_are_in_units_of_pixels() -> None:
    std = torch.tensor([0.1, 0.5, 2.0]).view(1, 3, 1, 1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    normal = Called(lambda x: (x - 0.4) / std, network).eval()
    folded = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    folded.load_state_dict(network.state_dict())
    with torch.no_grad():
        weight = network[1].weight / std.expand(1, 3, 4, 4).reshape(1, 48)
        folded[1].weight.copy_(weight)
        folded[1].bias.copy_(network[1].bias - 0.4 * weight.sum(1))
    images = drawn(3, 4, 4)
    labels = predict(folded, images)
    for norm in NORMS:
        ours, theirs = (nv.certify(one, images, labels, norm=norm) for one in (normal, folded))
        assert torch.allclose(ours, theirs, rtol=1e-3)


def each_image_has_its_own_radius() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    one = drawn(1, 4, 4)
    images = torch.cat([one, one[:1]])
    labels = predict(model, images)
    together = nv.certify(model, images, labels, norm=2)
    assert together[0] == together[3]
    alone = [nv.certify(model, images[[n]], labels[[n]], norm=2) for n in range(4)]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-4)
    assert len(set(together[:3].tolist())) == 3


def a_linear_layer_on_rows_of_images_is_bounded_or_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)).eval()
    try:
        kept(model, (1, 4, 4))
    except UnsupportedModuleError as error:
        assert "Linear" in str(error)  # noqa: PT017


def pools_and_convolutions_of_every_kind() -> None:
    deep = [nn.Conv2d(2, 4, 3, groups=2, dilation=2, padding=2), nn.ReLU()]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    kept(nn.Sequential(*deep, *end).eval(), (2, 5, 5))
    for counted in (True, False):
        pool = nn.AvgPool2d(2, 2, padding=1, ceil_mode=True, count_include_pad=counted)
        model = nn.Sequential(pool, nn.Flatten(), nn.Linear(9, 3)).eval()
        try:
            kept(model, (1, 4, 4))
        except UnsupportedModuleError as error:
            assert "AvgPool2d" in str(error)  # noqa: PT017
    up = nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.Flatten(), nn.Linear(50, 3)).eval()
    refused(up, (1, 4, 4), "ConvTranspose2d")


def computed_and_shared_weights_are_those_that_count() -> None:
    torch.manual_seed(0)
    first = parametrizations.spectral_norm(nn.Conv2d(1, 2, 3, padding=1))
    rectifier = nn.ReLU()
    middle = parametrizations.weight_norm(nn.Conv2d(2, 2, 3, padding=1))
    tied = nn.Conv2d(2, 2, 1)
    layers = [first, rectifier, middle, rectifier, tied, rectifier, tied, nn.Flatten()]
    kept(nn.Sequential(*layers, nn.Linear(32, 3)).eval(), (1, 4, 4))


def a_network_that_never_changes_its_mind_is_not_divided_by() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    nn.init.zeros_(model[3].weight)
    nn.init.constant_(model[1].bias, -9.0)  # dead rectifiers
    images = drawn(1, 4, 4)
    labels = predict(model, images)
    for name in ("deepfool", "newtonfool", "gradient"):
        found = nv.attacks.create(name)(model, images, labels)
        assert not found.success.any(), name
        assert torch.equal(found.images, images), name
        wrong = nv.attacks.create(name)(model, images, (labels + 1) % 3)
        assert wrong.already_misclassified.all(), name
        assert torch.equal(wrong.images, images), name


def two_and_three_classes_can_be_attacked_however_few_images_are_left() -> None:
    for classes in (2, 3):
        torch.manual_seed(classes)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).eval()
        for count in (1, 3):
            images = drawn(1, 4, 4, count=count)
            labels = predict(model, images)
            for name in ("apgd", "apgd-targeted", "fab", "deepfool"):
                try:
                    found = nv.attacks.create(name)(model, images, labels)
                except NVersionError as error:
                    assert "class" in str(error), name  # noqa: PT017
                else:
                    assert bool(found.images.isfinite().all()), name
                    if classes == 3:  # a label that comes third, of which losses know no margin
                        third = model(images).argmin(dim=1)
                        found = nv.attacks.create(name)(model, images, third)
                        assert bool(found.already_misclassified.all()), name
                        assert torch.equal(found.images, images), name


def images_of_every_shape_and_kind_count_or_are_refused_with_advice() -> None:
    wide = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 26 * 18, 20))
    with torch.no_grad():
        wide[3].weight.mul_(1e4)  # type: ignore[operator]
    model, images = wide.eval(), drawn(3, 28, 20, count=2)
    labels = predict(model, images)
    plain = nv.certify(model, images, labels, norm=2)
    assert bool((plain > 0).all())
    assert bool(plain.isfinite().all())
    turned = images.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(nv.certify(model, turned, labels, norm=2), plain, rtol=1e-3)
    tracked = images.clone().requires_grad_()
    assert torch.equal(nv.certify(model, tracked, labels, norm=2), plain)
    assert tracked.grad is None
    with pytest.raises(NVersionError, match="255"):
        nv.certify(model, (images * 255).to(torch.uint8), labels, norm=2)


class Residual(nn.Module):
    """Images of 16 pixels in two classes, with a residual layer before the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        hidden = hidden + torch.relu(self.second(hidden))
        result: Tensor = self.last(hidden)
        return result


def a_hidden_counterexample_is_never_certified_away() -> None:
    # One neuron fires near one corner of the ball alone, so that no attack or sample finds it.
    model, image, epsilon = Residual().eval(), drawn(1, 4, 4, count=1) * 0.6 + 0.2, 0.1
    corner = torch.randint(0, 2, (16,), generator=torch.Generator().manual_seed(3)) * 2.0 - 1.0
    with torch.no_grad():
        model.first.weight[0] = corner
        model.first.bias[0] = -(corner @ image.flatten() + 16 * epsilon - 0.05)
        model.second.weight.mul_(0.1)
        model.second.bias[0] = -1.0
        model.last.weight.mul_(0.1)
        model.last.weight[:, 0] = torch.tensor([-100.0, 100.0])
        model.last.bias.copy_(torch.tensor([1.0, 0.0]))
    counter = image + epsilon * corner.view(1, 1, 4, 4)
    labels = predict(model, image)
    assert not torch.equal(predict(model, counter), labels)
    draws = torch.Generator().manual_seed(4)
    near = image + epsilon * (torch.rand(500, 1, 4, 4, generator=draws) * 2.0 - 1.0)
    assert bool((predict(model, near) == labels).all())
    for norm, distance in ((float("inf"), epsilon), (2, 4 * epsilon), (1, 16 * epsilon)):
        for method in ("interval", "linear", "alpha"):
            for box in ((0.0, 1.0), None):
                radius = nv.certify(model, image, labels, norm=norm, method=method, box=box)
                assert float(radius) < distance, (norm, method, box)


def what_fails_within_bounds_is_an_error_and_no_success() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    images = drawn(1, 4, 4)
    labels = predict(model, images)

    def fail(*given: object, **options: object) -> None:
        raise AssertionError("planes")

    for asked, arguments in ((nv.certify, {}), (nv.certify, {"method": "alpha", "steps": 2})):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(relaxation, "relax", fail)
            with pytest.raises(AssertionError, match="planes"):
                asked(model, images, labels, norm=2, **arguments)  # type: ignore[arg-type]
            with pytest.raises(AssertionError, match="planes"):
                nv.certify(nv.Program([model, model]), images, labels, norm=2)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    nn.init.constant_(broken[1].weight, float("nan"))
    with pytest.raises(NVersionError, match="NaN"):
        nv.certify(broken, images, labels, norm=2)


def a_softmax_at_the_end_is_seen_and_none_is_put_on_it() -> None:
    layers = [nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)]
    plain = nn.Sequential(*layers).eval()
    images = drawn(1, 4, 4)
    labels = predict(plain, images)
    radii = nv.certify(plain, images, labels, norm=2)
    found = nv.attacks.create("deepfool")(plain, images, labels)
    logs = nn.Sequential(*layers, nn.LogSoftmax(1)).eval()
    assert torch.allclose(nv.certify(logs, images, labels, norm=2), radii, rtol=1e-3)
    soft = nn.Sequential(*layers, nn.Softmax(1)).eval()
    with pytest.warns(OutputsWarning, match="gives probabilities, not logits"):
        assert torch.allclose(nv.certify(soft, images, labels, norm=2), radii, rtol=1e-3)
    with pytest.warns(OutputsWarning, match="gives probabilities, not logits"):
        again = nv.attacks.create("deepfool")(soft, images, labels)
    assert torch.allclose(again.l2, found.l2, rtol=1e-3)
    declared = nv.as_logits(soft)
    assert torch.allclose(nv.certify(declared, images, labels, norm=2), radii, rtol=1e-3)


ROWS: dict[str, Callable[[], None]] = {
    "auto_LiRPA 39, 76: max-pool of kernel 3, stride 2": a_stem_of_a_residual_network,
    "auto_LiRPA 90: two max-pools, no rectifier, one method breaks": two_pools_and_no_rectifier,
    "alpha-beta-CROWN 103: a hidden counterexample": (
        a_hidden_counterexample_is_never_certified_away
    ),
    "alpha-beta-CROWN 83: an assertion is swallowed": (
        what_fails_within_bounds_is_an_error_and_no_success
    ),
    "foolbox 158, cleverhans 1101: a second softmax": (
        a_softmax_at_the_end_is_seen_and_none_is_put_on_it
    ),
    "alpha-beta-CROWN 5: max-pool before no linear layer": a_pool_that_no_linear_layer_follows,
    "alpha-beta-CROWN 16: a sum of linear branches": two_linear_branches_are_added,
    "decomon 178, Marabou 614: padding of a max-pool": padding_never_wins_a_maximum,
    "keras 48105: zeros before a max-pool are not neutral": zeros_that_are_put_around_do_win_it,
    "Marabou 435: order of a rectifier's inputs": a_rectifiers_order_is_not_the_images,
    "ERAN 4, 106: stride of a pool, sigmoid end": a_pools_stride_counts_and_a_sigmoid_may_end_it,
    "ERAN 34, auto_LiRPA 1, torchlip 47: batch norm": batch_norms_count_by_their_running_statistics,
    "auto_LiRPA 63: clamp gives NaN": a_clamp_gives_no_nan,
    "auto_LiRPA 3, 25: units of a radius": radii_are_in_units_of_pixels,
    "auto_LiRPA 29, foolbox 325, 439: one radius a batch": each_image_has_its_own_radius,
    "auto_LiRPA 70: linear on 4-D": a_linear_layer_on_rows_of_images_is_bounded_or_refused,
    "auto_LiRPA 7, 9: average pools, groups, dilation": pools_and_convolutions_of_every_kind,
    "pytorch 180167: computed and tied weights": computed_and_shared_weights_are_those_that_count,
    "ART 15, 219, torchattacks 51: DeepFool of 0": (
        a_network_that_never_changes_its_mind_is_not_divided_by
    ),
    "auto-attack 70, 108, ART 2399: DLR and few classes": (
        two_and_three_classes_can_be_attacked_however_few_images_are_left
    ),
    "dtypes, layouts, sizes": images_of_every_shape_and_kind_count_or_are_refused_with_advice,
}


@pytest.mark.parametrize("row", ROWS)
def test_what_others_ran_into(row: str) -> None:
    torch.manual_seed(0)
    ROWS[row]()
