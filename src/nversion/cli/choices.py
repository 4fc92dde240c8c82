"""Values of options that are checked while the command line is read, before anything is imported.

The names are written down here a second time, since the library's own lists take seconds to
import; tests hold one to the other. Plugins' names are known from what is installed, without
importing any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from nversion.errors import ConfigError, DatasetError, InputError
from nversion.naming import did_you_mean, split_size
from nversion.norms import NORMS, norm_order
from nversion.registry import plugin_names

__all__ = [
    "ATTACKS",
    "CONFIDENCES",
    "CORRUPTIONS",
    "DATASETS",
    "DEVICES",
    "ENGINES",
    "FORMS",
    "INJECTIONS",
    "METHODS",
    "MODEL_ENDINGS",
    "MODEL_FOLDER_MARKS",
    "PRECISIONS",
    "RECIPES",
    "VOTERS",
    "WEIGHTINGS",
    "abstention",
    "attack_names",
    "ball",
    "corruptions",
    "dataset",
    "distance",
    "index",
    "injections",
    "norms",
    "one_of",
    "recipe",
    "threshold",
    "voter",
    "voters",
    "weights",
    "workers",
]

ENGINES = ("auto", "processes", "threads", "ray")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16")
METHODS = ("interval", "linear", "alpha", "smoothing")
BALLED = ("l2", "linf")
"""The norms of balls that attacks keep to."""

CERTIFIED = ("l1", "l2", "linf")
"""The norms of certificates."""
VOTERS = (
    *("mean-softmax", "mean-logits", "plurality", "majority", "k-of-n", "consensus"),
    *("median-softmax", "trimmed-mean", "maximum-confidence", "borda"),
)
CONFIDENCES = ("agreement", "margin", "entropy")
WEIGHTINGS = ("log-odds", "likelihood")
INJECTIONS = (
    *("raise", "nan", "infinite", "shape", "constant", "stuck", "bit-flips"),
    *("crash", "hang"),
)
FORMS = ("json", "cyclonedx", "spdx", "modelcard", "ltac", "junit")
CORRUPTIONS = ("noise", "blur", "shift", "rotation", "contrast")
DATASETS = ("digits", "mnist", "fashion-mnist", "kmnist")
MODEL_ENDINGS = (".onnx", ".keras", ".h5", ".hdf5", ".pt2", ".pt", ".pth", ".ts", ".safetensors")
MODEL_FOLDER_MARKS = ("record.json", "foreign.json", "config.json")
RECIPES = (
    *("certified-l2", "certified-linf", "fast", "robust-l2", "robust-linf"),
    *("small", "study"),
)
ATTACKS = (
    *("gradient", "gradient-sign", "deepfool", "adef", "saliency-map", "carlini-wagner"),
    *("newtonfool", "random-pgd", "slsqp", "lbfgs", "alma", "apgd", "apgd-l1", "apgd-targeted"),
    *("auto", "ddn"),
    *("ead", "fab", "fmn", "hop-skip-jump", "nearest", "pdgd", "pdpgd", "sigma-zero", "slp"),
    *("square", "superdeepfool"),
)


def one_of(*names: str) -> Callable[[typer.CallbackParam, str | None], str | None]:
    """Return the check of an option that must be one of `names`."""

    def check(param: typer.CallbackParam, value: str | None) -> str | None:
        if value is not None and value not in names:
            listed = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
            raise InputError(
                f"{_option(param)} must be {listed}, not {value!r}{did_you_mean(value, names)}"
            )
        return value

    return check


def threshold(param: typer.CallbackParam, value: str) -> str:
    """Check a number, or off."""
    try:
        if value != "off":
            float(value)
    except ValueError:
        raise InputError(f'{_option(param)} must be a number or "off", not {value!r}') from None
    return value


def index(param: typer.CallbackParam, value: int) -> int:
    """Check the place of a test image, as far as that goes without the images."""
    if value < 0:
        raise InputError(
            f"{_option(param)} must lie between 0 and the number of test images, not {value}"
        )
    return value


def workers(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check a number of workers."""
    good = value in (None, "auto") or (value.isascii() and value.isdecimal() and int(value[:6]) > 0)
    if not good:
        raise InputError(f"{_option(param)} must be auto or a number of at least 1, not {value!r}")
    return value


def voter(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check a voter's name."""
    if value is not None and value not in VOTERS:
        known = _with_plugins(VOTERS, "nversion.voters")
        if value not in known:
            raise InputError(
                f"{_option(param)}: no voter is called {value!r}{did_you_mean(value, known)}; "
                f"there are: {', '.join(known)}"
            )
    return value


def voters(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check the names of voters with commas between, or "all"."""
    if value is None or value.strip() == "all":
        return value
    names = [part.strip() for part in value.split(",") if part.strip()]
    for name in names:
        voter(param, name)
        if names.count(name) > 1:
            raise InputError(f"{_option(param)}: {name} is named twice")
    if not names:
        raise InputError(f"{_option(param)}: no voter is named; there are: {', '.join(VOTERS)}")
    return ",".join(names)


def corruptions(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check the names of corruptions with commas between, "all" or "none"."""
    if value is None or value.strip() in ("all", "none"):
        return value
    names = [part.strip() for part in value.split(",") if part.strip()]
    for name in names:
        if name not in CORRUPTIONS:
            raise InputError(
                f"{_option(param)}: no corruption is called {name!r}"
                f"{did_you_mean(name, CORRUPTIONS)}; there are: all, none, {', '.join(CORRUPTIONS)}"
            )
    return ",".join(dict.fromkeys(names))


def injections(param: typer.CallbackParam, value: str) -> str:
    """Check the names of faults with commas between, or "all"."""
    if value.strip() == "all":
        return ",".join(INJECTIONS)
    names = [part.strip() for part in value.split(",") if part.strip()]
    for name in names:
        if name not in INJECTIONS:
            raise InputError(
                f"{_option(param)}: no fault is called {name!r}{did_you_mean(name, INJECTIONS)}; "
                f"there are: all, {', '.join(INJECTIONS)}"
            )
    if not names:
        raise InputError(f"{_option(param)}: no fault is named; there are: {', '.join(INJECTIONS)}")
    return ",".join(dict.fromkeys(names))


def abstention(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check an abstention such as margin=0.2."""
    if value is None:
        return None
    by, equals, number = value.partition("=")
    try:
        good = bool(equals) and float(number) >= 0.0
    except ValueError:
        good = False
    if by.strip() not in CONFIDENCES or not good:
        raise InputError(
            f"{_option(param)} is MEASURE=THRESHOLD, such as margin=0.2, not {value!r}; the "
            f"measures are {', '.join(CONFIDENCES)}{did_you_mean(by.strip(), CONFIDENCES)}"
        )
    return value


def weights(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check numbers with commas between, or a way to fit them."""
    if value is None or value in WEIGHTINGS:
        return value
    try:
        good = all(0.0 < float(part) < float("inf") for part in value.split(","))
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"{_option(param)} must be positive numbers with commas between, or "
            f"{' or '.join(WEIGHTINGS)}, not {value!r}{did_you_mean(value, WEIGHTINGS)}"
        )
    return value


def norms(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check norms with commas between, and write each as "1", "2" or "inf"."""
    if value is None:
        return None
    found = []
    for part in value.split(","):
        try:
            found.append(f"{norm_order(part.strip(), CERTIFIED):g}")
        except InputError as error:
            raise InputError(f"{_option(param)} {value}: {error}") from None
    if len(set(found)) < len(found):
        raise InputError(f"{_option(param)} {value}: names one norm twice")
    return ",".join(found)


def distance(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check the norm of a distance, and write it as "0", "1", "2" or "inf"."""
    return None if value is None else _norm(param, value, NORMS)


def ball(param: typer.CallbackParam, value: str) -> str:
    """Check the norm of a ball that attacks keep to, and write it as "2" or "inf"."""
    return _norm(param, value, BALLED)


def _norm(param: typer.CallbackParam, value: str, allowed: tuple[str, ...]) -> str:
    try:
        return f"{norm_order(value, allowed):g}"
    except InputError as error:
        raise InputError(f"{_option(param)}: {error}") from None


def attack_names(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check the names of attacks with commas between, or "all"; those of Foolbox have a colon."""
    if value is None or value.strip() == "all":
        return value
    names = [part.strip() for part in value.split(",") if part.strip()]
    if not names:
        known = _with_plugins(ATTACKS, "nversion.attacks")
        raise InputError(
            f"{_option(param)}: no attack is named; there are: all, {', '.join(known)}"
        )
    # Where the attacks are imported already there may be more, and their registry is asked later.
    foreign = "nversion.attacks" in sys.modules
    for name in names:
        if name not in ATTACKS and ":" not in name and not foreign:
            known = _with_plugins(ATTACKS, "nversion.attacks")
            if name not in known:
                raise InputError(
                    f"{_option(param)}: no attack is called {name!r}{did_you_mean(name, known)}; "
                    f"there are: {', '.join(known)}, and foolbox:NAME"
                )
        if names.count(name) > 1:
            raise InputError(f"{_option(param)}: {name} is named twice")
    return value


def dataset(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check a dataset's name, or the path of a file or folder that must be there."""
    plain = value if value is None or Path(value).expanduser().exists() else split_size(value)[0]
    if plain is not None and plain not in DATASETS and not Path(plain).expanduser().exists():
        known = _with_plugins(DATASETS, "nversion.datasets")
        if plain not in known:
            raise DatasetError(
                f"{_option(param)}: {plain!r} is neither a dataset's name nor the path of a .npz "
                f"file or a folder{did_you_mean(plain, known)}; the names are: {', '.join(known)}"
            )
    return value


def recipe(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check a recipe's name, or the path of a file that must be there."""
    if value is not None and value not in RECIPES and not Path(value).is_file():
        raise ConfigError(
            f"{_option(param)}: no recipe is called {value!r} and no file has that name"
            f"{did_you_mean(value, RECIPES)}; recipes: {', '.join(RECIPES)}; or name a .toml file"
        )
    return value


def _with_plugins(names: Sequence[str], group: str) -> list[str]:
    return list(dict.fromkeys([*names, *plugin_names(group)]))


def _option(param: typer.CallbackParam) -> str:
    """Return how an option is written; an argument has no more than a name."""
    return str(max(param.opts, key=len))
