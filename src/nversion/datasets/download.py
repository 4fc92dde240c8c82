"""Published datasets: where they can be had, what their files must be, and how to fetch them.

A file enters the cache only if it has the published checksum: it is written under a temporary name,
checked, and renamed. A mirror that fails in any way (unreachable, an error page, damaged content)
is left for the next one, and what it did deliver is kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from nversion.datasets.idx import FILE_NAMES, read_content
from nversion.errors import DatasetError, DownloadError
from nversion.files import replacing
from nversion.progress import progress_bar

__all__ = ["FASHION_MNIST", "KMNIST", "MNIST", "Source", "cache_folder", "fetch"]

TIMEOUT_SECONDS = 30.0

LARGEST_PUBLISHED = 50_000_000
"""No published file has more bytes unpacked; of one that has, no more are read."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset that is published as four gzip-compressed IDX files.

    Attributes:
        name: the dataset's name.
        mirrors: addresses to which ``FILE.gz`` is appended, tried in this order.
        checksums: hexadecimal checksum for each of the four file names (without ``.gz``).
        checksum_of: what the checksums are of: "archive", the file as downloaded, by MD5; or
            "content", the unpacked file, by SHA-256.
        folders: the folder names under which a data folder may hold the files.
        classes: how many classes there are.
        class_names: what they are called; () if they are numbers.
    """

    name: str
    mirrors: tuple[str, ...]
    checksums: Mapping[str, str]
    checksum_of: Literal["archive", "content"]
    folders: tuple[str, ...]
    classes: int = 10
    class_names: tuple[str, ...] = ()

    def matches(self, path: Path, file_name: str) -> bool:
        """Tell whether the archive at `path` is the published `file_name`."""
        if self.checksum_of == "archive":
            # MD5 is what the authors publish; it guards against accidents, not against forgers.
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, _md5)
        else:
            try:
                digest = hashlib.sha256(read_content(path, packed=True, limit=LARGEST_PUBLISHED))
            except DatasetError:
                return False
        return digest.hexdigest() == self.checksums[file_name]


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _by_file(*checksums: str) -> dict[str, str]:
    return dict(zip(FILE_NAMES, checksums, strict=True))


# LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; the mirrors are those of the
# PyTorch project and of the CVDF foundation.
MNIST = Source(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    checksum_of="content",
    checksums=_by_file(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    folders=("mnist", "MNIST/raw"),
)

# Xiao, Rasul and Vollgraf, arXiv:1708.07747; checksums from the authors' README, mirrors the
# authors' storage and the authors' repository.
FASHION_MNIST = Source(
    name="fashion-mnist",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    checksum_of="archive",
    checksums=_by_file(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    folders=("fashion-mnist", "FashionMNIST/raw"),
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)

# Clanuwat et al., arXiv:1812.01718; checksums as in torchvision (datasets/mnist.py). The authors
# publish at one place only, which has been unreachable at times (rois-codh/kmnist issue 29), so the
# second mirror is somebody's copy, pinned to a commit: the checksums make it safe.
KMNIST = Source(
    name="kmnist",
    mirrors=(
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "https://raw.githubusercontent.com/zzc18765/AiPremiumClass/"
        "2187a1b6168b317230cb0d942ab8817aa94e1c89/week3_codes/data/KMNIST/raw/",
    ),
    checksum_of="archive",
    checksums=_by_file(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    folders=("kmnist", "KMNIST/raw"),
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


def cache_folder(name: str) -> Path:
    """Return the folder in the user's cache that the dataset `name` is downloaded to."""
    import pooch

    return Path(pooch.os_cache("nversion")) / name


def fetch(source: Source, folder: Path) -> Path:
    """Make sure that `folder` holds the four published files of `source`, downloading what lacks.

    Files that are there with the right checksum are kept; damaged ones are replaced.

    Returns:
        The folder.

    Raises:
        DownloadError: no mirror gave every file; the message says what was tried, and how to
            supply the files by hand.
    """
    wanted = [name for name in FILE_NAMES if not _is_good(source, folder, name)]
    failures: list[str] = []
    if wanted:
        with progress_bar(f"downloading {source.name}", len(wanted)) as advance:
            for mirror in source.mirrors:
                failure = _fetch_from(mirror, source, folder, wanted, advance)
                if failure is None:
                    break
                failures.append(failure)
    if wanted:
        raise DownloadError(_explain(source, folder, failures))
    return folder


def _is_good(source: Source, folder: Path, file_name: str) -> bool:
    path = folder / f"{file_name}.gz"
    return path.is_file() and source.matches(path, file_name)


def _fetch_from(
    mirror: str, source: Source, folder: Path, wanted: list[str], advance: Callable[[], None]
) -> str | None:
    """Fetch the `wanted` files, taking each off the list; return why it stopped, None if done."""
    import pooch  # late, since it brings an HTTP client that most calls have no use for

    download = pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT_SECONDS)
    for file_name in list(wanted):
        url = f"{mirror}{file_name}.gz"
        try:
            with replacing(folder / f"{file_name}.gz") as temporary:
                download(url, str(temporary), None)
                if not source.matches(temporary, file_name):
                    raise DownloadError("the file does not have the published checksum")
        except (OSError, DownloadError) as error:  # requests' exceptions are OSErrors
            return f"{url}: {error}"
        wanted.remove(file_name)
        advance()
    return None


def _explain(source: Source, folder: Path, failures: list[str]) -> str:
    tried = "".join(f"\n  - {failure}" for failure in failures)
    files = ", ".join(f"{name}.gz" for name in FILE_NAMES)
    return (
        f"{source.name} could not be downloaded. Tried:{tried}\n"
        f"To supply the files by hand, put {files} (or the unpacked files) into a folder and name "
        "it with --data-dir, with the argument root, or with the environment variable "
        f"NVERSION_DATA; or put the .gz files into {folder}."
    )
