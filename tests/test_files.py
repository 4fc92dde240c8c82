from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.errors import ArtefactError, DiskFullError
from nversion.files import (
    digest_of,
    read_json,
    read_object,
    read_rows,
    read_tensor,
    read_tensors,
    replacing,
    sha256_of_file,
    write_array,
    write_json,
    write_tensors,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file.txt"
    write_text(path, "old")
    with contextlib.suppress(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def _killed_while_writing(path: Path) -> Path:
    """Let a process die in the middle of writing `path`; return what it leaves."""
    code = (
        "import os, sys; from pathlib import Path; from nversion.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print(temporary, flush=True); os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip())


def test_what_a_killed_process_leaves_goes_away_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "file[1].txt"
    left = _killed_while_writing(path)
    assert left.parent == tmp_path
    assert left.read_text() == "half"
    write_text(tmp_path / "other.txt", "x")
    assert left.exists()
    write_text(path, "whole")
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "other.txt"]


def test_what_a_living_process_is_writing_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        write_text(path, "second")
        assert temporary.read_text() == "first"
    assert path.read_text() == "first"


@given(shape=st.lists(st.integers(0, 4), max_size=3), dtype=st.sampled_from(["f4", "i8", "u1"]))
@settings(deadline=None, max_examples=30)
def test_arrays_are_written_as_numpy_reads_them(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], dtype: str
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "x.npy"
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    write_array(path, array.T)
    read = np.load(path)
    assert read.dtype == array.dtype
    assert np.array_equal(read, array.T)


def test_an_array_without_room_names_the_place_and_is_not_left_half_written(
    tmp_path: Path,
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(DiskFullError, match=f"no room.*free some space in {tmp_path}"):
            write_array(tmp_path / "x.npy", np.zeros(91_840))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "a\r\nb\n")
    assert (tmp_path / "x").read_bytes() == b"a\r\nb\n"


@given(value=JSON.filter(lambda v: "inf" not in repr(v)))
@settings(deadline=None, max_examples=40)
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ArtefactError, match=r"x\.json: no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ArtefactError, match="not readable as JSON"):
        read_json(tmp_path / "x.json")


def test_tensors_round_trip_with_their_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3).T, "b": torch.arange(4), "c": torch.tensor([True])}
    write_tensors(tmp_path / "x", tensors, {"k": [1, "two"]})
    loaded, metadata = read_tensors(tmp_path / "x")
    assert metadata == {"k": [1, "two"]}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("cut", [0, 4, 50])
def test_a_truncated_tensor_file_is_refused(tmp_path: Path, cut: int) -> None:
    write_tensors(tmp_path / "x", {"a": torch.zeros(10)})
    data = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(data[:cut])
    with pytest.raises(ArtefactError, match="not readable as safetensors"):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [("[1]", "must be a JSON object"), ("[" * 100_000, "nested"), ("{", "not readable as JSON")],
)
def test_metadata_that_is_no_object_is_refused(tmp_path: Path, metadata: str, message: str) -> None:
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "x", {"nversion": metadata})
    with pytest.raises(ArtefactError, match=f"x: .*{message}"):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64])
def test_tensors_of_types_that_nobody_writes_are_refused(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    safetensors.torch.save_file({"a": torch.zeros(2).to(dtype)}, tmp_path / "x")
    with pytest.raises(ArtefactError, match="x: 'a' is of type"):
        read_tensors(tmp_path / "x")


def test_one_tensor_is_read_by_its_name(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x", {"a": torch.arange(4)})
    assert read_tensor(tmp_path / "x", "a").tolist() == [0, 1, 2, 3]
    assert read_rows(tmp_path / "x", "a", slice(1, 3)).tolist() == [1, 2]
    for read in (read_tensor, lambda path, name: read_rows(path, name, slice(1))):
        with pytest.raises(ArtefactError, match=r"x: .*b"):
            read(tmp_path / "x", "b")


def test_an_object_is_asked_for(tmp_path: Path) -> None:
    write_json(tmp_path / "x", {"a": 1})
    assert read_object(tmp_path / "x") == {"a": 1}
    write_json(tmp_path / "x", [1])
    with pytest.raises(ArtefactError, match="x: must hold a JSON object, not a list"):
        read_object(tmp_path / "x")


def test_digests_tell_values_and_types_apart() -> None:
    values = [
        1, 1.5, "1", True, None, b"1", [1], [1, 2], [[1], 2], {"a": 1}, {"b": 1},
        np.zeros(2), np.zeros(2, dtype=np.float32), torch.ones(2),
    ]  # fmt: skip
    assert len({digest_of(value) for value in values}) == len(values)
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of(torch.arange(6).reshape(2, 3)) == digest_of(np.arange(6).reshape(2, 3))
    assert digest_of([1], 2) != digest_of([1, 2])
    with pytest.raises(TypeError, match="set"):
        digest_of({1})


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_file(tmp_path / "x") == expected
