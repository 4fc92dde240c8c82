"""Tables from elsewhere: what is read, in every format, and what is refused and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nversion.errors import DatasetError, MissingExtraError, NVersionError
from nversion.tables import Table, read_table

PREDICTIONS = np.array([[3, 7, -1], [3, 3, 7]])
LABELS = np.array([3, 7, 7])


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def as_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def in_every_format(folder: Path) -> list[Path]:
    np.savez(folder / "t.npz", labels=LABELS, predictions=PREDICTIONS, names=["a", "b"])
    written(folder, "t.csv", "label,a,b\n3,3,3\n7,7,3\n7,-1,7\n")
    as_parquet(folder / "t.parquet", {"label": LABELS, "a": PREDICTIONS[0], "b": PREDICTIONS[1]})
    return [folder / name for name in ("t.npz", "t.csv", "t.parquet")]


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    for path in in_every_format(tmp_path):
        table = read_table(path)
        assert table.names == ("a", "b")
        # Gaps between classes are closed, and named.
        assert table.classes == ("3", "7")
        assert table.labels.tolist() == [0, 1, 1]
        assert table.outputs.tolist() == [[0, 1, -1], [0, 0, 1]]
        assert table.answers.abstained.sum() == 1
        assert not table.probabilities


def test_names_of_classes_are_classes(tmp_path: Path) -> None:
    text = "label, first ,second\ncat,cat,dog\n\ndog,dog,7\n"
    table = read_table(written(tmp_path, "t.csv", text))
    assert table.names == ("first", "second")
    assert table.classes == ("7", "cat", "dog")
    assert (table.answers.wrong.tolist()) == [[False, False], [True, True]]
    np.savez(tmp_path / "t.npz", labels=["cat", "dog"], predictions=[["cat", "dog"], ["dog", "7"]])
    again = read_table(tmp_path / "t.npz")
    assert again.names == ("version 1", "version 2")
    assert again.classes == table.classes
    assert again.outputs.tolist() == table.outputs.tolist()


def test_probabilities_have_a_column_for_each_class(tmp_path: Path) -> None:
    heads = "label,v1:no,v1:yes,v2:no,v2:yes"
    path = written(tmp_path, "t.csv", f"{heads}\nyes,.4,.6,0.1,9e-1\nno,1,0,.5,.5\n")
    table = read_table(path)
    assert table.names == ("v1", "v2")
    assert table.classes == ("no", "yes")
    assert table.labels.tolist() == [1, 0]
    assert table.outputs[:, 0].tolist() == [[0.4, 0.6], [0.1, 0.9]]
    assert table.probabilities
    np.savez(tmp_path / "t.npz", labels=table.labels, probabilities=table.outputs)
    assert read_table(tmp_path / "t.npz").outputs.tolist() == table.outputs.tolist()
    np.savez(tmp_path / "logits.npz", labels=table.labels, logits=10 * table.outputs)
    assert not read_table(tmp_path / "logits.npz").probabilities


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'label'"),
        ("labels,a\n1,1\n", "did you mean 'label'"),
        ("label\n1\n", "no column beside 'label'"),
        ("label,a,a\n1,1,1\n", "'a' is there twice"),
        ("label,a\n", "no rows"),
        ("label,a\n1,2\n1\n", "line 3: 1 cells, but there are 2 columns"),
        ("label,a\n1,\n", "line 2: column 'a' is empty"),
        ("label,a\n1,0.5\n", "labels and predictions must both be"),
        ("label,a\n-1,1\n", "must not be negative, not -1"),
        ("label,a\n1,-2\n", "-1 is an abstention"),
        ('label,a\n1,"2\n', "not readable as CSV"),
        ("label,a,b:0\n1,1,1\n", "a table has one or the other"),
        ("label,a:0,a:1,b:0\n1,.5,.5,1\n", "lacks the column 'b:1'"),
        ("label,a:0,a:1\n1,.5,.4\n", "line 2: the probabilities of 'a' sum to 0.9"),
        ("label,a:0,a:1\n1,.5,1.5\n", "line 2: column 'a:1' has '1.5'"),
        ("label,a:0,a:1\n2,.5,.5\n", "line 2: label '2' is none of the classes 0, 1"),
    ],
)
def test_faults_in_csv_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, "t.csv", text)
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"predictions": PREDICTIONS}, "lacks labels"),
        ({"label": LABELS, "predictions": PREDICTIONS}, "did you mean 'labels'"),
        ({"labels": LABELS}, "lacks one of probabilities, logits, predictions"),
        ({"labels": LABELS, "prediction": PREDICTIONS}, "did you mean 'predictions'"),
        (
            {"labels": LABELS, "predictions": PREDICTIONS, "logits": PREDICTIONS},
            "holds logits and predictions",
        ),
        ({"labels": LABELS[:2], "predictions": PREDICTIONS}, r"must be [versions, count]"),
        ({"labels": LABELS, "predictions": PREDICTIONS / 2}, "whole numbers or names"),
        ({"labels": LABELS, "predictions": PREDICTIONS, "names": ["a"]}, "names must be texts [2]"),
        (
            {"labels": LABELS, "predictions": PREDICTIONS, "names": ["a", "a"]},
            "'a' is there twice",
        ),
        ({"labels": [0, 1, 1], "probabilities": np.ones((2, 3, 2))}, "sum to 1"),
        ({"labels": [0, 1, 2], "logits": np.ones((2, 3, 2))}, "outputs have 2 classes"),
        ({"labels": ["a", "b", "c"], "predictions": PREDICTIONS}, "both be names"),
    ],
)
def test_faults_in_npz_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DatasetError) as caught:
        read_table(tmp_path / "t.npz")
    assert message in str(caught.value)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", labels=LABELS, predictions=np.array([{}], dtype=object))
    with pytest.raises(DatasetError, match="holds objects"):
        read_table(tmp_path / "t.npz")


def test_faults_in_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="row 1: column 'a' has 1"):
        read_table(as_parquet(tmp_path / "f.parquet", {"label": [1, 1], "a": [1.0, 0.5]}))
    with pytest.raises(DatasetError, match="'a' has empty cells"):
        read_table(as_parquet(tmp_path / "n.parquet", {"label": [1, 1], "a": [1, None]}))
    with pytest.raises(DatasetError, match="not readable as Parquet"):
        read_table(written(tmp_path, "d.parquet", "label,a\n1,1\n"))


def test_parquet_without_pyarrow_says_which_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"nversion\[parquet\]"):
        read_table(written(tmp_path, "t.parquet", ""))


def test_other_files_are_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "missing.csv", "no such file"),
        (tmp_path / "t.xlsx", "a table ends in .npz, .csv, .parquet"),
        (written(tmp_path, "t.npz", "no archive"), "not readable as .npz"),
    ):
        with pytest.raises(NVersionError, match=message):
            read_table(path)
    (tmp_path / "bytes.csv").write_bytes(b"label,a\n\xff,1\n")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_table(tmp_path / "bytes.csv")


def test_a_table_is_what_measures_take(tmp_path: Path) -> None:
    import nversion as nv

    table: Table = read_table(in_every_format(tmp_path)[1])
    assert nv.diversity(table.outputs, table.labels).abstentions.tolist() == [1, 0]
