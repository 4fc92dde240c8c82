"""A campaign as a whole: versions of every source are trained, kept, and measured side by side.

Each version is a folder of its own, and what is there already is not trained again; sources are
measured one after the other, and what is known is written after each.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.diversification.measuring import Measured, measure
from nversion.diversification.sources import SOURCES, Basis, Making, basic
from nversion.errors import ArtefactError, InputError
from nversion.files import digest_of, read_object, sha256_of_file, write_json
from nversion.models import evaluate, frozen
from nversion.modes import ordinary
from nversion.naming import did_you_mean
from nversion.versions import Version, train
from nversion.workers import Failure, Task, Where

__all__ = ["Diversification", "Settings", "diversify"]

SUMMARY = "diversification.json"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is trained and measured.

    Attributes:
        basis: what all versions share.
        sources: names, in the order in which they are tried.
        attacked: test images, the first so many, for gradients and predicted distances.
        resamples: of intervals over test images.
    """

    basis: Basis
    sources: tuple[str, ...] = tuple(SOURCES)
    attacked: int = 200
    resamples: int = 1000

    def __post_init__(self) -> None:
        for name in self.sources:
            if name not in SOURCES:
                raise InputError(
                    f"no source of diversity is called {name!r}{did_you_mean(name, SOURCES)}; "
                    f"there are {', '.join(SOURCES)}"
                )
            SOURCES[name].makings(self.basis)
        if not self.sources or len(set(self.sources)) < len(self.sources):
            raise InputError("name one source of diversity at least, and none twice")
        if self.attacked < 1 or self.resamples < 2:
            raise InputError("there must be an image to attack, and two resamples, at least")


@dataclasses.dataclass(frozen=True)
class Diversification:
    """What came of it.

    Attributes:
        facts: what was trained, on what.
        measured: of the sources that are done, in their order.
        failures: versions that could not be trained, with what was said.
    """

    facts: dict[str, Any]
    measured: tuple[Measured, ...]
    failures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **self.facts,
            "sources": [one.to_json() for one in self.measured],
            "failures": list(self.failures),
        }


@ordinary()
def diversify(
    settings: Settings,
    data: Dataset,
    out: str | Path,
    *,
    where: Where | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Diversification:
    """Train the versions of every source that are not there yet, and measure the sources.

    Args:
        settings: what is trained and measured.
        data: the dataset.
        out: the folder that is filled; what it holds of the same settings is kept.
        where: workers, engine and address; by default one worker a core.
        say: called with a line of text for each source.

    Raises:
        InputError: an architecture does not fit the data.
    """
    for architecture in settings.basis.architectures:
        architecture.check(data.shape, data.classes)
    folder = Path(out)
    shared = SharedDataset.stored(data, folder / "data")
    facts = {
        "dataset": data.name,
        "versions": settings.basis.versions,
        "architectures": [one.name or one.to_text() for one in settings.basis.architectures],
        "recipe": settings.basis.recipe.name,
        "seed": settings.basis.seed,
        "test_images": len(data.test),
        "attacked_images": min(settings.attacked, len(data.test)),
        "resamples": settings.resamples,
    }
    done: list[Measured] = []
    failures: list[str] = []
    for source in settings.sources:
        say(f"{source}: {SOURCES[source].words}")
        named = _named(source, settings.basis)
        failed = _train(named, shared, folder, where or Where.of("auto", "auto", ""))
        failures += failed
        if not failed:
            done.append(_measured(source, named, settings, data, folder))
        result = Diversification(facts, tuple(done), tuple(failures))
        write_json(folder / SUMMARY, result.to_json())
    return result


def _named(source: str, basis: Basis) -> dict[str, Making]:
    """Return the makings of a source by the names of their versions."""
    common = basic(basis)
    return {
        "basis" if making == common else f"{source}-{place:02d}": making
        for place, making in enumerate(SOURCES[source].makings(basis), start=1)
    }


def _train(
    named: dict[str, Making], shared: SharedDataset, folder: Path, where: Where
) -> list[str]:
    """Train what is missing, and return what was said of those that failed."""
    missing = [name for name, making in named.items() if not _made(folder, name, making, shared)]
    tasks: list[Task] = [
        (
            _make,
            {"name": name, "making": named[name], "shared": shared, "folder": folder},
        )
        for name in missing
    ]
    failures = []
    with where.pool(len(tasks)) as pool, contextlib.closing(pool.run(tasks)) as results:
        for index, result in results:
            if isinstance(result, Failure):
                failures.append(f"{missing[index]}: {result}")
    return failures


def _make(name: str, making: Making, shared: SharedDataset, folder: Path) -> None:
    """Train one version and keep it, with what it was made from."""
    data = making.data(shared.open())
    version = train(making.architecture, data, making.recipe, making.seed, name=name)
    version.save(_place(folder, name))
    write_json(_made_from(folder, name), {"digest": _digest(making, shared)})


def _made(folder: Path, name: str, making: Making, shared: SharedDataset) -> bool:
    path = _made_from(folder, name)
    with contextlib.suppress(ArtefactError):
        return bool(read_object(path).get("digest") == _digest(making, shared))
    return False


def _digest(making: Making, shared: SharedDataset) -> str:
    return digest_of(making.to_json(), shared.digest)


def _place(folder: Path, name: str) -> Path:
    return folder / "versions" / name


def _made_from(folder: Path, name: str) -> Path:
    return _place(folder, name) / "made-from.json"


def _measured(
    source: str, named: dict[str, Making], settings: Settings, data: Dataset, folder: Path
) -> Measured:
    """Return what a source bought, from the file that keeps it or by measuring it."""
    weights = [sha256_of_file(_place(folder, name) / "weights.safetensors") for name in named]
    options = {
        "attacked": settings.attacked,
        "resamples": settings.resamples,
        "seed": settings.basis.seed,
    }
    digest = digest_of(weights, options, data.digest)
    path = folder / "sources" / f"{source}.json"
    with contextlib.suppress(ArtefactError, TypeError):
        known = read_object(path)
        if known.get("digest") == digest:
            return _read(known["measured"])
    versions = [Version.load(_place(folder, name)) for name in named]
    found = measure(
        source,
        versions,
        [_logits(version, data) for version in versions],
        data.test.images,
        data.test.labels,
        **options,
    )
    write_json(path, {"digest": digest, "measured": found.to_json()})
    return found


def _read(values: dict[str, Any]) -> Measured:
    lists = ("names", "accuracies", "gain_over_mean", "gain_over_best")
    measures = {name: tuple(three) for name, three in values["measures"].items()}
    fixed: dict[str, Any] = {name: tuple(values[name]) for name in lists}
    return Measured(**{**values, **fixed, "measures": measures})


def _logits(version: Version, data: Dataset) -> Any:
    if version.test_logits is not None and len(version.test_logits) == len(data.test):
        return version.test_logits
    with frozen(version.model):
        return evaluate(version.model, data.test.images, name=version.name)
