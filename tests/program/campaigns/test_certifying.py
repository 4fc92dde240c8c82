"""A campaign gives the radii that one call gives, in any parts and on any workers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nversion.certification.smoothing import certify_smoothing
from nversion.datasets import TestImages
from nversion.datasets.dataset import Split
from nversion.errors import InputError, UnsupportedModuleError
from nversion.models import predict
from nversion.program import Majority, Program, compare_with_versions
from nversion.program.campaigns.certifying import Certification, Subject, certify_images
from nversion.program.campaigns.request import Request, Smoothing
from nversion.program.dispatch import certify
from nversion.program.voting import Voting
from nversion.workers import Where

HERE = Where(1)


def network(seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def data() -> TestImages:
    images = torch.rand(27, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return TestImages.whole("random", Split(images, predict(network(1), images)))


def program() -> Subject:
    return Subject({"a": network(1), "b": network(2), "c": network(3)}, Voting(Majority()))


def test_a_networks_radii_are_those_of_one_call(data: TestImages) -> None:
    subject = Subject({"a": network(1)})
    found = certify_images(subject, data, 23, Request(("2", "inf")), HERE)
    images, labels = data.test.images[:23], data.test.labels[:23]
    for norm in ("2", "inf"):
        radii = certify(network(1), images, labels, norm)
        assert found.norms[norm].radii.radii.allclose(radii, rtol=1e-3)
        assert found.norms[norm].radii.seconds > 0
    assert found.accuracy == 1.0
    assert (found.models, found.voter, found.method) == (("a",), None, "linear")


def test_workers_change_nothing(data: TestImages) -> None:
    subject, request = Subject({"a": network(1)}), Request(("2",))
    one, two = (certify_images(subject, data, 27, request, Where(n)) for n in (1, 2))
    assert torch.equal(one.norms["2"].radii.radii, two.norms["2"].radii.radii)


def test_a_program_stands_beside_its_versions(data: TestImages) -> None:
    found = certify_images(program(), data, 7, Request(("2",), compare=True), HERE).norms["2"]
    models = list(program().networks.values())
    images, labels = data.test.images[:7], data.test.labels[:7]
    expected = compare_with_versions(Program(models, "majority"), images, labels, 2)
    assert found.radii.radii.allclose(expected.program, rtol=5e-3)
    own = torch.stack([one.radii for one in found.versions.values()])
    assert own.allclose(expected.versions, rtol=1e-3)
    assert found.best_version == "abc"[expected.best_version]


def test_random_targets_are_drawn_for_all_images_together(data: TestImages) -> None:
    request = Request(("2",), target="random", seed=5)
    found = certify_images(Subject({"a": network(1)}), data, 23, request, HERE)
    images, labels = data.test.images[:23], data.test.labels[:23]
    radii = certify(network(1), images, labels, 2, target="random", seed=5)
    assert found.norms["2"].radii.radii.allclose(radii, rtol=1e-3)


def test_smoothing_is_the_librarys_in_parts(data: TestImages) -> None:
    request = Request(("2",), box=None, smoothing=Smoothing(0.2, 100, 0.9), seed=4)
    found = certify_images(Subject({"a": network(1)}), data, 12, request, HERE)
    images, labels = data.test.images[:12], data.test.labels[:12]
    expected = certify_smoothing(network(1), images, 0.2, samples=100, confidence=0.9, seed=4)
    assert torch.equal(found.norms["2"].radii.radii, expected.radii_for(labels))
    assert found.smoothed is not None
    assert torch.equal(found.smoothed.result.labels, expected.labels)
    assert found.method == found.to_json()["method"] == "smoothing"


def saved(data: TestImages) -> Certification:
    return certify_images(program(), data, 3, Request(("1",), compare=True), HERE)


def test_it_is_saved_as_json_or_as_arrays(data: TestImages, tmp_path: Path) -> None:
    found = saved(data)
    found.save(tmp_path / "radii.json")
    assert json.loads((tmp_path / "radii.json").read_text("utf-8")) == found.to_json()
    found.save(tmp_path / "radii.npz")
    with np.load(tmp_path / "radii.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["radii_1"], found.norms["1"].radii.radii.numpy())
        assert arrays["versions_radii_1"].shape == (3, 3)
        assert arrays["labels"].dtype == arrays["predictions"].dtype == np.int64
        assert json.loads(str(arrays["facts"])) == found.to_json()
    with pytest.raises(InputError, match=r"radii\.csv: must end in \.json or \.npz"):
        found.save(tmp_path / "radii.csv")


def test_what_does_not_go_with_the_subject_is_refused(data: TestImages) -> None:
    with pytest.raises(InputError, match="2 networks need a voter"):
        Subject({"a": network(1), "b": network(2)})
    with pytest.raises(InputError, match="no versions to compare"):
        certify_images(Subject({"a": network(1)}), data, 3, Request(compare=True), HERE)
    with pytest.raises(InputError, match="not a random one"):
        certify_images(program(), data, 3, Request(target="random"), HERE)
    with pytest.raises(InputError, match="at least 1, not 0"):
        certify_images(program(), data, 0, Request(), HERE)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_ends_the_work(data: TestImages, workers: int) -> None:
    subject = Subject({"a": nn.Sequential(nn.GELU(), network(1))})
    with pytest.raises(UnsupportedModuleError, match=r"'0' \(GELU\)"):
        certify_images(subject, data, 27, Request(("2",)), Where(workers))
