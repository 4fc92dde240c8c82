"""What buys diversity: one thing varies, the rest is shared, and what is done is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nversion.architectures import Architecture
from nversion.cli import diversify as command
from nversion.cli.app import app
from nversion.datasets import load_dataset
from nversion.diversification import SOURCES, Basis, Diversification, Settings, diversify
from nversion.errors import InputError
from nversion.measures import gradient_cosines
from nversion.report.figures.drawing import NARROW, WIDE, house_style
from nversion.report.figures.plots_diversification import diversification
from nversion.versions import Recipe, Version
from nversion.workers import Where

RECIPE = Recipe(optimiser="adamw", learning_rate=4e-3, epochs=3, batch_size=64)
ARCHITECTURES = tuple(
    Architecture.parse(f"flatten\ndense, {units}, relu", name=f"d{units}") for units in (16, 24)
)
HERE = Where.of(1, "auto", "")


def basis(seed: int = 0) -> Basis:
    return Basis(ARCHITECTURES, RECIPE, seed)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, Diversification]:
    folder = tmp_path_factory.mktemp("sources")
    sources = ("seed", "architecture", "disjoint", "transformation")
    settings = Settings(basis(), sources, attacked=30, resamples=50)
    return folder, settings, diversify(settings, load_dataset("digits"), folder, where=HERE)


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_makes_different_versions_of_what_it_varies(source: str) -> None:
    first, second = SOURCES[source].makings(basis())
    told, other = first.to_json(), second.to_json()
    varied = {key for key in told if told[key] != other[key]}
    expected = {
        "seed": {"seed"},
        "architecture": {"architecture"},
        "bootstrap": {"place"},
        "disjoint": {"place"},
        "transformation": {"corruption"},
        "recipe": {"recipe"},
        "objective": {"recipe"},
        "everything": {"seed", "architecture", "place", "corruption", "recipe"},
    }
    assert varied == expected[source]


def test_parts_share_no_image_and_samples_are_drawn_with_replacement() -> None:
    data = load_dataset("digits")
    parts = [making.data(data) for making in SOURCES["disjoint"].makings(basis())]
    assert sum(len(part.train) for part in parts) == len(data.train)
    assert torch.equal(parts[0].test.images, data.test.images)
    samples = [making.data(data) for making in SOURCES["bootstrap"].makings(basis())]
    for sample in samples:
        assert len(sample.train) == len(data.train)
        different = len(torch.unique(sample.train.images.flatten(1), dim=0))
        assert 0.55 * len(data.train) < different < 0.7 * len(data.train)
    assert not torch.equal(samples[0].train.images, samples[1].train.images)


def test_too_many_versions_for_a_source_are_refused_before_any_is_trained() -> None:
    many = tuple(Architecture.parse(f"flatten\ndense, {n}, relu") for n in range(2, 14))
    with pytest.raises(InputError, match=r"at most 10 versions can be made all different, not 12"):
        Settings(Basis(many, RECIPE), ("seed", "recipe"))
    with pytest.raises(InputError, match=r"'sed'.*did you mean 'seed'"):
        Settings(basis(), ("sed",))
    with pytest.raises(InputError, match="two architectures or more, all different"):
        Basis((many[0], many[0]), RECIPE)


def test_the_numbers_are_those_of_the_versions(
    done: tuple[Path, Settings, Diversification],
) -> None:
    folder, _, found = done
    data = load_dataset("digits")
    one = next(part for part in found.measured if part.source == "seed")
    versions = [Version.load(folder / "versions" / name) for name in one.names]
    assert one.names == ("basis", "seed-02")
    outputs = torch.stack([version.model(data.test.images).softmax(dim=1) for version in versions])
    right = outputs.argmax(dim=2) == data.test.labels
    assert one.accuracies == pytest.approx(right.double().mean(dim=1).tolist())
    voted = outputs.mean(dim=0).argmax(dim=1) == data.test.labels
    assert one.vote == pytest.approx(float(voted.double().mean()))
    assert one.gain_over_mean[0] == pytest.approx(one.vote - one.mean)
    assert one.gain_over_best[1] <= one.gain_over_best[0] <= one.gain_over_best[2]
    images, labels = data.test.images[:30], data.test.labels[:30]
    gradients = []
    for version in versions:
        points = images.clone().requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(version.model(points), labels, reduction="sum")
        gradients.append(torch.autograd.grad(loss, points)[0].numpy())
    assert one.cosine == pytest.approx(gradient_cosines(np.stack(gradients))[0, 1], abs=1e-5)


def test_what_is_done_is_kept_and_measured_once(
    done: tuple[Path, Settings, Diversification],
) -> None:
    folder, settings, found = done
    files = sorted((folder / "versions").glob("*/weights.safetensors"))
    times = [file.stat().st_mtime_ns for file in files]
    assert [file.parent.name for file in files] == sorted(
        ["architecture-02", "basis", "disjoint-01", "disjoint-02", "seed-02", "transformation-02"]
    )
    again = diversify(settings, load_dataset("digits"), folder, where=HERE)
    assert again == found
    assert [file.stat().st_mtime_ns for file in files] == times
    written = json.loads((folder / "diversification.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(found.to_json()))


def test_the_picture_has_a_row_for_each_source(
    done: tuple[Path, Settings, Diversification],
) -> None:
    for canvas in (WIDE, NARROW):
        with house_style(canvas.font):
            drawing = diversification(done[2], canvas)
        left, right = drawing.figure.axes
        assert {label.get_text() for label in left.get_yticklabels()} == set(done[1].sources)
        assert right.get_xlabel().startswith("correlation of failures")


def test_the_command_names_the_sources_that_there_are(tmp_path: Path) -> None:
    assert tuple(SOURCES) == command.SOURCES
    refused = CliRunner().invoke(app, ["diversify", "v002", "v006", "--sources", "seed,luck"])
    assert isinstance(refused.exception, InputError)


def test_the_command_prints_a_line_for_each_source(tmp_path: Path) -> None:
    recipe = tmp_path / "quick.toml"
    recipe.write_text('optimiser = "adamw"\nlearning_rate = 4e-3\nepochs = 2\nbatch_size = 64\n')
    for name, units in (("a", 12), ("b", 20)):
        (tmp_path / f"{name}.txt").write_text(f"flatten\ndense, {units}, relu")
    words = ["diversify", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--recipe", str(recipe)]
    more = ["--sources", "seed,architecture", "--workers", "1", "--attacked", "20"]
    picture = tmp_path / "sources.svg"
    out = ["--out", str(tmp_path / "out"), "--figure", str(picture)]
    shown = CliRunner().invoke(app, [*words, *more, *out])
    assert shown.exit_code == 0, shown.output
    assert "architecture" in shown.stdout
    assert picture.stat().st_size > 1000
