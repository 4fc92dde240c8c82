"""`nversion architectures`: what its commands print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nversion.architectures import Architecture, catalogue, student_architecture
from nversion.cli.architectures import app
from nversion.errors import ArchitectureError, InputError, NVersionError


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def output(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def from_json(*words: str | Path) -> Any:
    return json.loads(output(*words, "--json"))


def refused(error: type[NVersionError], *words: str | Path) -> str:
    result = run(*words)
    assert isinstance(result.exception, error)
    return str(result.exception)


def test_list_prints_one_row_each() -> None:
    lines = output("list", "--count", "12").splitlines()
    rows = [line.split() for line in lines if line.strip().startswith("v")]
    assert [row[0] for row in rows] == [f"v{number:03d}" for number in range(1, 13)]
    for row, architecture in zip(rows, catalogue(12), strict=True):
        assert row[-2:] == [
            f"{architecture.parameters((1, 28, 28), 10):,}",
            f"{architecture.multiply_adds((1, 28, 28), 10):,}",
        ]


def test_list_as_json_for_other_images() -> None:
    facts = from_json("list", "--count", "4", "--shape", "1,8,8")
    expected = catalogue(4, (1, 8, 8))
    assert [fact["kind"] for fact in facts] == ["convolutional", "dense"] * 2
    assert [Architecture.parse(fact["text"]) for fact in facts] == expected
    assert len(from_json("list")) == 100


def test_show_prints_layers_shapes_and_totals() -> None:
    text = output("show", "student")
    assert "student, convolutional, for images of 1x28x28" in text
    rows = [line.split("  ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["2", "conv, 64, relu", "64x24x24", "18,496", "10,616,832"] in cells
    assert ["dense, 10, linear", "10", "1,290", "1,280"] in cells
    assert ["total", "1,199,882", "11,992,448"] in cells


def test_show_as_json_and_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine[red].txt"
    path.write_bytes(b"CONV 4 relu\r\nDENSE 8 tanh")
    facts = from_json("show", path, "--shape", "3,6,6", "--classes", "5")
    assert facts["name"] == "mine[red]"
    assert [layer["number"] for layer in facts["layers"]] == [1, None, 2, None]
    assert [layer["output_shape"] for layer in facts["layers"]] == [[4, 4, 4], [64], [8], [5]]
    assert facts["parameters"] == sum(layer["parameters"] for layer in facts["layers"])
    assert output("show", path, "--text") == "conv, 4, relu\ndense, 8, tanh\n"
    assert "mine[red], convolutional" in output("show", path)
    assert output("show", "student", "--text") == student_architecture().to_text()


def test_show_refuses_what_does_not_fit_or_is_not_there() -> None:
    assert "layer 3 (maxpooling)" in refused(
        ArchitectureError, "show", "student", "--shape", "1,5,5"
    )
    assert "neither in the catalogue" in refused(ArchitectureError, "show", "resnet")


@pytest.mark.parametrize("shape", ["28", "1,28", "1,28,-28", "1,28,28,1", "a,b,c", "", "1,28,²"])
def test_shapes_that_make_no_sense(shape: str) -> None:
    message = refused(InputError, "list", "--shape", shape)
    assert message == f"--shape must be CHANNELS,HEIGHT,WIDTH, such as 1,28,28, not {shape!r}"


def test_zero_pixels_and_one_class_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("flatten\n")
    assert "three positive whole numbers" in refused(InputError, "check", path, "--shape", "0,8,8")
    assert "classes must be" in refused(InputError, "check", path, "--classes", "1")


def test_check_lists_all_errors_and_exits_with_one(tmp_path: Path) -> None:
    good, broken, misfit = (tmp_path / name for name in ("good.txt", "broken.txt", "misfit.txt"))
    good.write_text("flattern\r\ndense, 8, relu", newline="")
    broken.write_text("conv, 8\nflatten\npool\n")
    misfit.write_text("maxpooling, 9\n")
    files = (good, broken, misfit, tmp_path / "missing.txt")
    result = run("check", *files, "--shape", "1,8,8")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"{good}: ok, dense" in lines
    assert f"{broken}, line 1: 'conv, 8': activation missing" in lines
    assert f"{broken}, line 3: 'pool': no layer is called 'pool'" in lines
    assert f"{misfit}: layer 1 (maxpooling, 9) cannot take its input of 1x8x8" in result.stdout
    assert f"{tmp_path / 'missing.txt'}: no such file" in lines
    assert lines[-1] == "1 of 4 pass"

    result = run("check", *files, "--shape", "1,8,8", "--json")
    assert result.exit_code == 1
    assert [entry["error"] is None for entry in json.loads(result.stdout)] == [
        True, False, False, False,
    ]  # fmt: skip


def test_check_passes_with_zero(tmp_path: Path) -> None:
    path = tmp_path / "good.txt"
    path.write_text("dense, 8, relu\n")
    assert output("check", path).splitlines()[-1] == "1 of 1 pass"
    [entry] = from_json("check", path)
    assert (entry["kind"], entry["parameters"]) == ("dense", 785 * 8 + 90)


def test_generate_writes_the_catalogue(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    words = ("generate", "--count", "7", "--out", out)
    assert output(*words) == f"7 architectures in {out}\n"
    assert sorted(path.name for path in out.iterdir()) == [f"v00{n}.txt" for n in range(1, 8)]
    assert [Architecture.load(out / f"{a.name}.txt") for a in catalogue(7)] == catalogue(7)
    # Again is no error: nothing would change.
    assert from_json(*words) == [str(out / f"v00{number}.txt") for number in range(1, 8)]
    assert run("check", *out.iterdir()).exit_code == 0


def test_generate_does_not_overwrite_unless_told(tmp_path: Path) -> None:
    mine = tmp_path / "v002.txt"
    mine.write_text("dense, 3, relu\n")
    words = ("generate", "--count", "3", "--shape", "1,8,8", "--out", tmp_path)
    message = refused(InputError, *words)
    assert message.startswith(f"{mine} would be overwritten; choose another --out")
    assert [path.name for path in tmp_path.iterdir()] == ["v002.txt"]
    assert mine.read_text() == "dense, 3, relu\n"
    output(*words, "--force")
    assert Architecture.load(mine) == catalogue(3, (1, 8, 8))[1]
    assert len(list(tmp_path.iterdir())) == 3


def test_generate_refuses_a_file_as_folder_and_too_many(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    assert refused(InputError, "generate", "--out", path) == f"--out {path}: not a folder"
    message = refused(
        ArchitectureError,
        "generate",
        "--out",
        tmp_path / "x",
        "--count",
        "9999",
        "--shape",
        "1,3,3",
    )
    assert message.startswith("only ")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", ["list", "show", "check", "generate"])
def test_help_has_an_example(command: str) -> None:
    assert f"nversion architectures {command} " in " ".join(output(command, "--help").split())
