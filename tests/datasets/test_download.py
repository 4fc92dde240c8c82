from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nversion.datasets.download import FASHION_MNIST, KMNIST, MNIST, Source, fetch
from nversion.datasets.idx import FILE_NAMES
from nversion.datasets.registry import load_published
from nversion.errors import DownloadError

Serve = Callable[[Path], tuple[str, list[str]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve folders over HTTP on loopback; records the paths that were asked for."""
    servers = []

    def start(folder: Path) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def dead_mirror() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def published(folder: Path) -> Path:
    """Write four small files to `folder`, as a mirror would hold them."""
    folder.mkdir()
    for name, shape in zip(FILE_NAMES, [(4, 3, 3), (4,), (2, 3, 3), (2,)], strict=True):
        size = shape[0] * (9 if len(shape) == 3 else 1)
        header = struct.pack(f">I{len(shape)}I", 0x800 | len(shape), *shape)
        content = header + bytes(i % 2 for i in range(size))
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    return folder


def source_of(folder: Path, *mirrors: str, checksum_of: str = "archive") -> Source:
    checksums = {}
    for name in FILE_NAMES:
        archive = (folder / f"{name}.gz").read_bytes()
        checksums[name] = (
            hashlib.md5(archive).hexdigest()
            if checksum_of == "archive"
            else hashlib.sha256(gzip.decompress(archive)).hexdigest()
        )
    return dataclasses.replace(
        FASHION_MNIST,
        mirrors=mirrors,
        checksums=checksums,
        checksum_of=checksum_of,
        classes=2,
        class_names=(),
    )


@pytest.mark.parametrize("checksum_of", ["archive", "content"])
def test_files_are_fetched_once_and_loaded(tmp_path: Path, serve: Serve, checksum_of: str) -> None:
    mirror, asked = serve(published(tmp_path / "mirror"))
    source = source_of(tmp_path / "mirror", mirror, checksum_of=checksum_of)
    data = load_published(source, cache=tmp_path / "cache")
    assert data.train.labels.tolist() == [0, 1, 0, 1]
    assert len(asked) == 4
    load_published(source, cache=tmp_path / "cache")
    assert len(asked) == 4
    assert listing(tmp_path / "cache") == sorted(f"{name}.gz" for name in FILE_NAMES)


def test_a_mirror_that_is_down_is_left_for_the_next(
    tmp_path: Path, serve: Serve, dead_mirror: str
) -> None:
    mirror, asked = serve(published(tmp_path / "mirror"))
    fetch(source_of(tmp_path / "mirror", dead_mirror, mirror), tmp_path / "cache")
    assert len(asked) == 4


def test_what_a_failing_mirror_delivered_is_kept(tmp_path: Path, serve: Serve) -> None:
    good = published(tmp_path / "good")
    partial = published(tmp_path / "partial")
    (partial / f"{FILE_NAMES[2]}.gz").unlink()
    (first, _), (second, asked) = serve(partial), serve(good)
    fetch(source_of(good, first, second), tmp_path / "cache")
    assert asked == [f"/{name}.gz" for name in FILE_NAMES[2:]]


@pytest.mark.parametrize("checksum_of", ["archive", "content"])
@pytest.mark.parametrize("damage", ["truncated", "error page", "other content"])
def test_damaged_content_never_enters_the_cache(
    tmp_path: Path, serve: Serve, checksum_of: str, damage: str
) -> None:
    good = published(tmp_path / "good")
    bad = published(tmp_path / "bad")
    victim = bad / f"{FILE_NAMES[1]}.gz"
    content = {
        "truncated": victim.read_bytes()[:-9],
        "error page": b"<html>moved</html>",
        "other content": gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x01\x00"),
    }[damage]
    victim.write_bytes(content)
    mirror, _ = serve(bad)
    with pytest.raises(DownloadError, match=f"{FILE_NAMES[1]}.gz: .*published checksum"):
        fetch(source_of(good, mirror, checksum_of=checksum_of), tmp_path / "cache")
    assert listing(tmp_path / "cache") == [f"{FILE_NAMES[0]}.gz"]


def test_a_damaged_cache_is_repaired(tmp_path: Path, serve: Serve) -> None:
    mirror, asked = serve(published(tmp_path / "mirror"))
    source = source_of(tmp_path / "mirror", mirror)
    fetch(source, tmp_path / "cache")
    damaged = tmp_path / "cache" / f"{FILE_NAMES[0]}.gz"
    damaged.write_bytes(b"half of it")
    fetch(source, tmp_path / "cache")
    assert asked[4:] == [f"/{FILE_NAMES[0]}.gz"]
    assert source.matches(damaged, FILE_NAMES[0])


def test_when_all_mirrors_fail_the_error_says_what_to_do(
    tmp_path: Path, serve: Serve, dead_mirror: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    mirror, _ = serve(empty)
    source = source_of(published(tmp_path / "good"), dead_mirror, mirror)
    with pytest.raises(DownloadError) as caught:
        fetch(source, tmp_path / "cache")
    message = str(caught.value)
    for part in (dead_mirror, f"{mirror}{FILE_NAMES[0]}.gz: 404", "--data-dir", "NVERSION_DATA"):
        assert part in message
    assert all(f"{name}.gz" in message for name in FILE_NAMES)
    assert not list((tmp_path / "cache").iterdir())


def test_a_cache_that_cannot_be_written_is_a_download_error(tmp_path: Path, serve: Serve) -> None:
    mirror, _ = serve(published(tmp_path / "mirror"))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(source_of(tmp_path / "mirror", mirror), blocked / "cache")


@pytest.mark.parametrize("source", [MNIST, FASHION_MNIST, KMNIST], ids=lambda s: s.name)
def test_each_source_has_two_mirrors_and_four_checksums(source: Source) -> None:
    assert len(set(source.mirrors)) == 2
    assert all(mirror.endswith("/") for mirror in source.mirrors)
    digits = {"archive": 32, "content": 64}[source.checksum_of]
    assert list(source.checksums) == list(FILE_NAMES)
    assert all(len(bytes.fromhex(sum_)) * 2 == digits for sum_ in source.checksums.values())


def mnist_folder() -> Path:
    root = Path(__file__).resolve().parents[2]
    for base in (os.environ.get("NVERSION_DATA"), root.parent / "shared" / "data"):
        for folder in (Path(base) / "mnist", Path(base)) if base else ():
            if all((folder / f"{name}.gz").is_file() for name in FILE_NAMES):
                return folder
    pytest.skip("the MNIST files are not here")


@pytest.mark.mnist
def test_real_mnist_passes_the_published_checksums_through_a_mirror(
    tmp_path: Path, serve: Serve
) -> None:
    mirror, asked = serve(mnist_folder())
    data = load_published(dataclasses.replace(MNIST, mirrors=(mirror,)), cache=tmp_path)
    assert len(asked) == 4
    assert (len(data.train), len(data.test), data.shape) == (60000, 10000, (1, 28, 28))
