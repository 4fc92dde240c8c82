"""How a network is fed: said in short, in TOML beside its file, or guessed from a shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from nversion.errors import ArtefactError, InputError
from nversion.formats import Feed, parse_feed
from nversion.formats.feed import feed_beside, settled


def test_a_short_text_and_a_file_say_the_same(tmp_path: Path) -> None:
    text = "size=3x8x9,layout=nhwc,range=0:255,mean=1:2:3,std=0.5,outputs=logits,classes=a:b"
    (tmp_path / "version.toml").write_text(
        'size = [3, 8, 9]\nlayout = "nhwc"\nrange = [0, 255]\nmean = [1, 2, 3]\nstd = 0.5\n'
        'outputs = "logits"\nclasses = ["a", "b"]\n'
    )
    feed = parse_feed(text)
    assert feed == Feed(
        (3, 8, 9), "nhwc", (0.0, 255.0), (1.0, 2.0, 3.0), (0.5,), "logits", None, ("a", "b")
    )
    assert feed_beside(tmp_path / "net.onnx") == feed
    assert parse_feed(str(tmp_path / "version.toml")) == feed
    assert parse_feed(",".join(f"{k}={v}" for k, v in {"key": "1", "name": "x"}.items())).key == "1"


def test_a_file_of_its_own_counts_before_that_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "version.toml").write_text('layout = "nhwc"')
    (tmp_path / "net.onnx.toml").write_text('layout = "flat"')
    assert feed_beside(tmp_path / "net.onnx").layout == "flat"
    assert feed_beside(tmp_path / "other.onnx").layout == "nhwc"
    assert feed_beside(tmp_path / "none" / "x.onnx") == Feed()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layuot=nhwc", "did you mean 'layout'"),
        ("layout=hwcn", "layout"),
        ("size=1x28", "size"),
        ("size=0x28x28", "channels, height, width"),
        ("range=1:1", "two different numbers"),
        ("std=0", "above 0"),
        ("mean=nan", "finite"),
        ("size=3x8x8,mean=1:2", "one for each of 3 channels"),
        ("classes=a:a", "twice"),
        ("nhwc", "wants KEY=VALUE"),
        ("outputs=percent", "outputs"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_feed(text)


@pytest.mark.parametrize(
    ("shape", "size", "layout"),
    [
        ((1, 28, 28), (1, 28, 28), "nchw"),
        ((28, 28, 1), (1, 28, 28), "nhwc"),
        ((3, 32, 24), (3, 32, 24), "nchw"),
        ((32, 24, 3), (3, 32, 24), "nhwc"),
        ((784,), (1, 28, 28), "flat"),
        ((784, 1), (1, 28, 28), "flat"),
        ((3072,), (3, 32, 32), "flat"),
        ((28, 20), (1, 28, 20), "nhw"),
    ],
)
def test_guesses(shape: tuple[int, ...], size: tuple[int, ...], layout: str) -> None:
    feed = settled(Feed(), shape, "file")
    assert (feed.size, feed.layout) == (size, layout)


def test_what_was_said_counts_before_guesses() -> None:
    assert settled(Feed(layout="nwh"), (20, 28), "file").size == (1, 28, 20)
    assert settled(Feed(size=(4, 5, 6)), (5, 6, 4), "file").layout == "nhwc"
    with pytest.raises(ArtefactError, match="does not say what size"):
        settled(Feed(), None, "file")
    with pytest.raises(ArtefactError, match="images of"):
        settled(Feed(size=(1, 5, 5)), (1, 28, 28), "file")
