"""A set built from versions alone is the study's own, bit for bit; what fails is reported."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from nversion.adversarial import AdversarialSet
from nversion.architectures import Architecture
from nversion.attacks import Attack, create
from nversion.datasets import Dataset, load_dataset
from nversion.errors import InputError, StudyError
from nversion.randomness import derive_seed
from nversion.study import AttackPlan, build_adversarial_set, make_config, run_study
from nversion.study.folder import StudyFolder
from nversion.versions import Recipe, train

RECIPE = Recipe(optimiser="adamw", learning_rate=4e-3, epochs=4, batch_size=64)


@dataclasses.dataclass(frozen=True)
class Broken(Attack):
    """An attack that cannot be run."""

    name: ClassVar[str] = "broken"
    norm: ClassVar[str] = "l2"

    def propose(self, *_: Any) -> torch.Tensor:
        raise RuntimeError("out of order")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def versions(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("versions")
    made = []
    for name, width in (("a", 16), ("b", 24)):
        architecture = Architecture.parse(f"flatten\ndense, {width}, relu")
        architecture = dataclasses.replace(architecture, name=name)
        made.append(train(architecture, data, RECIPE, seed=1).save(folder / name))
    return made


def plan(*attacks: Attack, **changes: Any) -> AttackPlan:
    chosen = attacks or (create("gradient"), create("gradient-sign"))
    return AttackPlan({one.name: one for one in chosen}, **{"images": 3, "seed": 5, **changes})


def test_it_is_the_set_of_a_study_of_the_same_versions(
    tmp_path: Path, tiny: dict[str, Any]
) -> None:
    config = make_config({**tiny, "versions": {**tiny["versions"], "count": 2}})
    run_study(config, tmp_path / "study")
    place = StudyFolder(tmp_path / "study")
    alone = build_adversarial_set(
        [place.version(name) for name in ("a", "b")],
        AttackPlan.of(config),
        load_dataset("digits"),
        tmp_path / "set",
        workers=1,
    )
    assert alone.failures == ()
    assert alone.built.adversarial.digest == AdversarialSet.load(place.adversarial).digest
    loaded = AdversarialSet.load(tmp_path / "set")
    assert loaded.digest == alone.built.adversarial.digest


def test_it_goes_on_where_it_stopped(data: Dataset, versions: list[Path], tmp_path: Path) -> None:
    first = build_adversarial_set(versions, plan(), data, tmp_path / "set", workers=1)
    said: list[str] = []
    again = build_adversarial_set(versions, plan(), data, tmp_path / "set", say=said.append)
    assert said == [
        "attacking versions: 4 kept",
        "building the adversarial set: 1 kept",
        "showing all attacks on one image: 1 kept",
    ]
    assert again.built.adversarial.digest == first.built.adversarial.digest
    more = plan(create("gradient"), create("gradient-sign"), create("random-pgd", iterations=3))
    build_adversarial_set(versions, more, data, tmp_path / "set", workers=1, say=said.append)
    assert said[3] == "attacking versions: 2 to do, 4 kept"


def test_an_attack_that_breaks_down_is_reported_and_the_rest_goes_on(
    data: Dataset, versions: list[Path], tmp_path: Path
) -> None:
    made = build_adversarial_set(
        versions, plan(Broken(), create("gradient")), data, tmp_path / "set", workers=1
    )
    assert [unit for unit, _ in made.failures] == ["attacks/a/broken", "attacks/b/broken"]
    assert "out of order" in made.failures[0][1]
    assert made.built.adversarial.attacks == ("gradient",)
    assert len(made.built.adversarial) > 0
    with pytest.raises(StudyError, match="every attack run failed"):
        build_adversarial_set(versions, plan(Broken()), data, tmp_path / "other", workers=1)


def test_where_nothing_succeeds_there_is_an_empty_set_and_no_example(
    data: Dataset, versions: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    build_adversarial_set(versions, plan(), data, folder, workers=1)
    assert (folder / "example.safetensors").is_file()
    hopeless = plan(create("gradient", steps=1, largest=1e-6))
    made = build_adversarial_set(versions, hopeless, data, folder, workers=1)
    assert len(made.built.adversarial) == 0
    assert made.built.example is None
    assert not (folder / "example.safetensors").exists()


def test_versions_trained_on_other_images_are_attacked_where_they_are_right(
    data: Dataset, versions: list[Path], tmp_path: Path
) -> None:
    # The same images in another order: the kept logits do not fit them.
    order = torch.randperm(
        len(data.test), generator=torch.Generator().manual_seed(derive_seed("order"))
    )
    test = dataclasses.replace(
        data.test, images=data.test.images[order], labels=data.test.labels[order]
    )
    other = dataclasses.replace(data, test=test)
    made = build_adversarial_set(versions[:1], plan(), other, tmp_path / "set", workers=1)
    assert all(row.already_misclassified == 0 for row in made.built.table)
    assert all(row.tried == 3 for row in made.built.table)


def test_folders_that_hold_something_else_are_refused(
    data: Dataset, versions: list[Path], tmp_path: Path
) -> None:
    def refused(out: Path, message: str) -> None:
        before = sorted(out.rglob("*")) if out.is_dir() else []
        with pytest.raises(StudyError, match=message):
            build_adversarial_set(versions, plan(), data, out, workers=1)
        assert (sorted(out.rglob("*")) if out.is_dir() else []) == before

    refused(versions[0], "holds other files")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "not a folder")
    study = tmp_path / "study"
    (study / "adversarial").mkdir(parents=True)
    (study / "study.toml").touch()
    refused(study, "belongs to a study")
    refused(study / "adversarial", "belongs to a study")
    # A configuration that lies beside the set is no study.
    (tmp_path / "study.toml").touch()
    build_adversarial_set(versions[:1], plan(), data, tmp_path / "set", workers=1)


def test_versions_that_do_not_fit_are_refused(
    data: Dataset, versions: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="both called a"):
        build_adversarial_set([versions[0]] * 2, plan(), data, tmp_path / "set")
    with pytest.raises(InputError, match="no version"):
        build_adversarial_set([], plan(), data, tmp_path / "set")
    small = dataclasses.replace(
        data,
        shape=(1, 4, 8),
        train=dataclasses.replace(data.train, images=data.train.images[:, :, :4]),
        test=dataclasses.replace(data.test, images=data.test.images[:, :, :4]),
    )
    with pytest.raises(InputError, match=r"takes images of \[1, 8, 8\]"):
        build_adversarial_set(versions, plan(), small, tmp_path / "set")
    assert not (tmp_path / "set").exists()
