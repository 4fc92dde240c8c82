"""`nversion attack` and `nversion attacks`: what they print, draw and refuse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from typer.testing import CliRunner, Result

from nversion.attacks import Attack, create, names, registry
from nversion.cli.app import app
from nversion.cli.targets import Labelled, target_from
from nversion.datasets import load_dataset
from nversion.errors import ArtefactError, DatasetError, InputError, NVersionError
from nversion.models import predict
from nversion.versions import Version

PNG = b"\x89PNG"


@dataclasses.dataclass(frozen=True)
class Broken(Attack):
    """An attack that cannot be run."""

    name: ClassVar[str] = "broken"
    norm: ClassVar[str] = "l2"

    def propose(self, *_: Any) -> torch.Tensor:
        raise RuntimeError("out of order")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def attack(*words: str | Path, code: int = 0) -> str:
    result = run("attack", *words)
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def facts(*words: str | Path, code: int = 0) -> Any:
    return json.loads(attack(*words, "--json", code=code))


@pytest.fixture
def model(versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version's folder; pictures without a name go to a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return versions / "a"


def first_index(model: Path, *, right: bool) -> int:
    """Return the first test image that the version gets right, or wrong."""
    data, version = load_dataset("digits"), Version.load(model)
    correct = predict(version.model, data.test.images) == data.test.labels
    return correct.tolist().index(right)


def test_it_prints_a_row_for_each_attack_and_draws_them_all(model: Path) -> None:
    index = first_index(model, right=True)
    lines = attack(model, "--attack", "gradient, random-pgd", "--index", str(index)).splitlines()
    label = int(load_dataset("digits").test.labels[index])
    assert lines[0] == f"a on test image {index} of digits: a {label}, taken for {label}"
    rows = [line.split() for line in lines if line.strip().startswith(("gradient", "random-pgd"))]
    assert [row[:3] for row in rows] == [
        ["gradient", "yes", str(label)],
        ["random-pgd", "yes", str(label)],
    ]
    assert all(row[3] != str(label) for row in rows)
    assert lines[-1] == f"picture: a-test{index}-2-attacks.png"
    assert Path(f"a-test{index}-2-attacks.png").read_bytes().startswith(PNG)


def test_the_numbers_are_the_attacks_own(model: Path) -> None:
    index = first_index(model, right=True)
    words = ("--attack", "random-pgd", "--index", str(index), "--seed", "3", "--storable")
    values = facts(model, *words)
    data = load_dataset("digits").test
    result = create("random-pgd")(
        Version.load(model).model,
        data.images[index : index + 1],
        data.labels[index : index + 1],
        seed=3,
        storable=True,
    )
    (row,) = values["attacks"]
    for name in ("l0", "l1", "l2", "linf"):
        assert row[name] == float(getattr(result, name))
    assert row["success"] is True
    assert (row["forwards"], row["backwards"]) == (result.forwards, result.backwards)
    assert row["prediction"] == int(result.predictions)
    assert (values["seed"], values["storable"]) == (3, True)
    assert row["options"] == create("random-pgd").options()
    assert values["picture"] == f"a-test{index}-random-pgd.png"
    assert Path(values["picture"]).read_bytes().startswith(PNG)


def test_a_picture_goes_where_it_is_told_or_nowhere(model: Path, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "picture.svg"
    values = facts(model, "--attack", "gradient", "--out", place)
    assert values["picture"] == str(place)
    assert place.read_text("utf-8").startswith("<?xml")
    assert facts(model, "--attack", "gradient", "--no-picture")["picture"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_settings_reach_the_attacks_that_have_them(model: Path) -> None:
    values = facts(
        *(model, "--attack", "gradient,gradient-sign,random-pgd", "--no-picture"),
        *("--set", "steps=50", "--set", "random-pgd.iterations=3", "--set", "gradient.steps=60"),
    )
    options = {row["name"]: row["options"] for row in values["attacks"]}
    assert options["gradient"]["steps"] == 60
    assert options["gradient-sign"]["steps"] == 50
    assert options["random-pgd"] == create("random-pgd", iterations=3).options()


def test_an_attack_that_fails_is_a_result(model: Path) -> None:
    index = first_index(model, right=True)
    words = (model, "--attack", "gradient", "--index", str(index), "--set", "largest=1e-6")
    (row,) = facts(*words)["attacks"]
    assert (row["success"], row["l2"], row["ssim"]) == (False, None, None)
    assert any(line.split()[:2] == ["gradient", "no"] for line in attack(*words).splitlines())


def test_an_image_that_is_wrong_already_is_not_attacked(model: Path) -> None:
    index = first_index(model, right=False)
    words = (model, "--attack", "gradient", "--index", str(index))
    values = facts(*words, code=1)
    assert values["already_misclassified"] is True
    assert values["prediction"] != values["label"]
    assert (values["attacks"], values["picture"]) == ([], None)
    assert "nothing to attack" in attack(*words, code=1)
    assert not list(Path.cwd().iterdir())


def test_an_attack_that_breaks_down_is_reported_and_the_rest_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.ATTACKS._makers, "broken", Broken)
    words = ("attack", model, "--attack", "broken,gradient")
    result = run(*words)
    assert result.exit_code == 1
    assert result.stderr.strip() == "broken broke down: RuntimeError: out of order"
    assert any(line.split()[:2] == ["gradient", "yes"] for line in result.stdout.splitlines())
    broken, gradient = facts(*words[1:], code=1)["attacks"]
    assert (broken["error"], gradient["error"]) == ("RuntimeError: out of order", None)
    result = run("attack", model, "--attack", "broken")
    assert result.exit_code == 1
    assert "picture" not in result.stdout


def test_a_dataset_of_ones_own_can_be_attacked(model: Path, tmp_path: Path) -> None:
    import numpy as np

    data = load_dataset("digits")
    arrays = {"images": data.test.images.numpy(), "labels": data.test.labels.numpy()}
    np.savez(tmp_path / "mine.npz", **arrays)
    result = run("attack", model, "--attack", "gradient", "--data", tmp_path / "mine.npz")
    assert result.exit_code in (0, 1)
    assert "on test image 0 of mine" in result.stdout
    assert result.stderr.splitlines() == [
        "note: a was trained on digits, not on these images",
        "note: of 362 images of mine, 73 are to test on, and only these are used",
    ]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--attack", "gradiant"), InputError, "no attack is called 'gradiant'"),
        (("--attack", " , "), InputError, "no attack is named; there are: all, gradient"),
        (("--attack", "gradient,gradient"), InputError, "gradient is named twice"),
        (("--attack", "gradient", "--index", "9999"), InputError, "between 0 and"),
        (("--attack", "gradient", "--index", "-1"), InputError, "between 0 and"),
        (("--attack", "gradient", "--out", "x.jpg"), InputError, "must end in .png"),
        (("--attack", "gradient", "--out", "folder.png"), InputError, "is a folder"),
        ((), InputError, "with --norm (0, 1, 2 or inf)"),
        (("--norm", "3"), InputError, "--norm"),
        (("--attack", "gradient", "--norm", "1"), InputError, "--norm 1: gradient does not make"),
        (("--attack", "alma", "--norm", "inf"), InputError, "which these do: gradient-sign"),
        (("--attack", "gradient", "--set", "foo=1"), InputError, "gradient has steps, largest"),
        (("--attack", "gradient", "--set", "deepfool.steps=1"), InputError, "not among"),
        (("--attack", "gradient", "--set", "steps=0"), InputError, "steps must be"),
        (("--attack", "gradient", "--set", "largest=much"), InputError, "--set largest=much"),
        (("--attack", "gradient", "--data", "digit"), DatasetError, "did you mean 'digits'?"),
    ],
)
def test_wrong_input_is_refused(
    model: Path, words: tuple[str, ...], error: type[NVersionError], message: str
) -> None:
    Path("folder.png").mkdir()
    result = run("attack", model, *words)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert [path.name for path in Path.cwd().iterdir()] == ["folder.png"]


def test_a_norm_alone_asks_for_the_nearest_error(model: Path) -> None:
    index = first_index(model, right=True)
    words = (model, "--index", str(index), "--no-picture", "--set", "passes=200")
    (nearest,) = facts(*words, "--norm", "1")["attacks"]
    assert (nearest["name"], nearest["norm"]) == ("nearest", "l1")
    (fewest,) = facts(*words[:4], "--attack", "fmn", "--norm", "0")["attacks"]
    assert (fewest["name"], fewest["norm"]) == ("fmn", "l0")


def test_attacks_that_make_a_norm_small_anyway_are_those_of_that_norm(model: Path) -> None:
    index = first_index(model, right=True)
    words = (model, "--index", str(index), "--no-picture")
    (one,) = facts(*words, "--attack", "ddn", "--norm", "l2", "--set", "steps=10")["attacks"]
    assert (one["name"], one["norm"]) == ("ddn", "l2")
    quick = ("--set", "nearest.passes=200", "--set", "steps=8", "--set", "refinements=4")
    every = facts(*words, "--attack", "all", "--norm", "0", *quick)["attacks"]
    assert {one["norm"] for one in every} == {"l0"}
    assert {"saliency-map", "sigma-zero", "fmn", "nearest"} <= {one["name"] for one in every}


@pytest.mark.parametrize("norm", ["2", "l2", "L2"])
def test_a_vote_is_attacked_whole_in_every_spelling_of_a_norm(model: Path, norm: str) -> None:
    result = run("attack", model, model.parent / "b", "--norm", norm, "--storable")
    assert "--set and --storable are for attacks by name" in str(result.exception)


def aimed_at(model: Path, index: int, target: object, *words: str) -> Any:
    words = ("--attack", "fmn", "--norm", "2", "--index", str(index), "--no-picture", *words)
    return facts(model, *words, "--target", str(target))


def test_an_image_is_aimed_at_a_class_by_number_or_from_a_file(model: Path) -> None:
    index = first_index(model, right=True)
    data = load_dataset("digits").test
    label = int(data.labels[index])
    target = (label + 1) % 10
    told = aimed_at(model, index, target)
    (row,) = told["attacks"]
    assert (told["target"], row["prediction"], row["success"]) == (target, target, True)
    expected = create("fmn", norm="l2")(
        Version.load(model).model,
        *(data.images[index : index + 1], data.labels[index : index + 1]),
        target=torch.tensor([target]),
    )
    assert row["l2"] == float(expected.l2)
    Path("targets.txt").write_text("".join(f"{(int(one) + 1) % 10}\n" for one in data.labels))
    from_file = aimed_at(model, index, "targets.txt")
    assert from_file["target"] == target
    assert from_file["attacks"][0]["l2"] == row["l2"]
    words = ("--attack", "gradient", "--index", str(index), "--no-picture")
    printed = attack(model, *words, "--target", str(target)).splitlines()[0]
    assert printed.endswith(f"a {label}, taken for {label}, aimed at {target}")
    assert facts(model, *words)["target"] is None


def test_a_target_that_is_no_other_class_is_refused(model: Path) -> None:
    index = first_index(model, right=True)
    labels = load_dataset("digits").test.labels
    Path("short.txt").write_text("3\n")
    Path("wrong.txt").write_text("3\n" * 2 + "three\n" + "3\n" * (len(labels) - 3))
    Path("own.txt").write_text("".join(f"{int(one)}\n" for one in labels))

    def refused(*words: str) -> str:
        result = run("attack", model, "--index", str(index), *words)
        assert isinstance(result.exception, InputError)
        return str(result.exception)

    own = f"is the own class of test image {index} of digits; a target is another one"
    assert refused("--norm", "2", "--target", str(int(labels[index]))).endswith(own)
    assert refused("--norm", "2", "--target", "own.txt").endswith(own)
    assert refused("--norm", "2", "--target", "10") == (
        "--target: no class or file is called '10'; the classes are 0 to 9"
    )
    assert "has 1 lines, but digits has" in refused("--norm", "2", "--target", "short.txt")
    assert refused("--norm", "2", "--target", "wrong.txt").startswith(
        "wrong.txt:3: no class is called 'three'"
    )
    assert refused("--attack", "deepfool,gradient,auto", "--target", "1") == (
        "deepfool, auto take no --target: as published, they look for any other class; "
        "leave out --target, or take --attack gradient"
    )


def test_a_target_is_found_by_the_name_of_its_class() -> None:
    image = Labelled("clothes", 0, 2, 1, 3, ("shirt", "Ankle boot", "bag"))
    assert target_from("bag", image) == target_from("2", image) == 2
    with pytest.raises(InputError, match=r"--target Ankle boot is the own class of test image 0"):
        target_from("Ankle boot", image)
    with pytest.raises(InputError, match=r"did you mean 'shirt'\?\); the classes are shirt, Ankle"):
        target_from("shirts", image)


def test_a_folder_that_is_no_version_is_refused(model: Path, tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        result = run("attack", folder, "--attack", "gradient")
        assert isinstance(result.exception, InputError)
        return str(result.exception)

    assert refused(tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'}: no such folder")
    assert "nversion train" in refused(tmp_path)
    assert refused(model.parent).endswith(f"such as {model}")


def test_images_that_do_not_fit_the_version_are_refused(model: Path, tmp_path: Path) -> None:
    import numpy as np

    images = np.zeros((40, 1, 9, 9), np.float32)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(40) % 10)
    result = run("attack", model, "--attack", "gradient", "--data", tmp_path / "mine.npz")
    assert isinstance(result.exception, InputError)
    assert "a takes images of 1x8x8 in 10 classes" in str(result.exception)
    assert "1x9x9" in str(result.exception)


def test_a_version_of_a_dataset_without_a_name_asks_for_it(model: Path, tmp_path: Path) -> None:
    version = Version.load(model)
    record = dataclasses.replace(version.record, dataset="mine")
    dataclasses.replace(version, record=record).save(tmp_path / "a")
    result = run("attack", tmp_path / "a", "--attack", "gradient")
    assert isinstance(result.exception, DatasetError)
    assert "a was trained on it; name a dataset with --data" in str(result.exception)


def test_a_damaged_version_is_refused(model: Path, tmp_path: Path) -> None:
    folder = Version.load(model).save(tmp_path / "damaged")
    (folder / "weights.safetensors").write_bytes(b"no")
    result = run("attack", folder, "--attack", "gradient")
    assert isinstance(result.exception, ArtefactError)


def test_every_attack_is_listed_with_its_paper_and_options() -> None:
    result = run("attacks", "--json")
    listed = json.loads(result.stdout)
    assert [entry["name"] for entry in listed] == names()
    for entry in listed:
        assert entry["paper"] == create(entry["name"]).paper
        assert entry["paper"], f"{entry['name']} says nowhere who published it"
        assert entry["options"] == create(entry["name"]).options()
        assert entry["targetable"] == create(entry["name"]).targetable
    rows = [line.split() for line in run("attacks").stdout.splitlines() if line.strip()]
    assert [row[0] for row in rows[2:]] == names()
    (row,) = [row for row in rows if row[0] == "random-pgd"]
    assert row[1] == "Linf"
    assert "epsilon=0.3," in row


@pytest.mark.parametrize("name", names())
def test_each_attack_is_described_with_what_its_options_are(name: str) -> None:
    text = run("attacks", name).stdout
    assert ":class:" not in text
    lines = text.splitlines()
    for option, default in create(name).options().items():
        (row,) = [line for line in lines if line.startswith(f"  {option} ")]
        meaning = row.strip().removeprefix(option).strip().removeprefix(str(default)).strip()
        assert len(meaning) > 5, f"{name}: the docstring does not say what {option} is"


def test_an_unknown_attack_is_not_described() -> None:
    assert isinstance(run("attacks", "nothing").exception, InputError)


def test_several_versions_are_attacked_as_one_program(versions: Path) -> None:
    folders = sorted(versions.iterdir())[:2]
    told = facts(*folders, "--attack", "gradient", "--no-picture", "--voter", "mean-logits")
    assert told["versions"] == [folder.name for folder in folders]
    assert told["voter"]["name"] == "mean-logits"
    assert told["attacks"][0]["name"] == "gradient"


def test_a_vote_is_attacked_by_all_that_is_known_where_no_attack_is_named(versions: Path) -> None:
    folders = sorted(versions.iterdir())[:2]
    told = facts(*folders, "--norm", "inf", "--no-picture", "--voter", "majority")
    lost, wrong = told["attacks"]
    assert (lost["name"], wrong["name"]) == ("no right verdict", "wrong verdict")
    assert lost["norm"] == "linf"
    assert lost["options"]["found_by"]
    assert lost["linf"] <= wrong["linf"]
    assert lost["forwards"] == wrong["forwards"] > 0
    result = run("attack", *folders, "--norm", "2", "--storable")
    assert "add --attack" in str(result.exception)
