"""The attacks of Foolbox 3 under this package's contract (Rauber et al. 2020).

"Foolbox Native: fast adversarial attacks to benchmark the robustness of machine learning models",
JOSS 2020. ``create("foolbox:BoundaryAttack", steps=1000)`` makes any attack class of
``foolbox.attacks`` an :class:`~nversion.attacks.base.Attack`: its options are those of the Foolbox
class, with ``epsilon`` added; model and images are handed over, what comes back is verified as
everything else. Foolbox is an optional extra: ``pip install 'nversion[foolbox]'``.

Foolbox draws from the global random generators, and its results for an image depend on the batch.
So each image is attacked alone, with these generators seeded from the image's own stream, and put
back afterwards as they were. That is slower than a batch, and the same bits every time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nversion.attacks.ball import DEFAULT_EPSILON, project
from nversion.attacks.base import Attack, check_option
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import create, register_prefix
from nversion.errors import InputError, MissingExtraError
from nversion.extras import how_to_install

__all__ = ["FoolboxAttack", "foolbox_attack_class", "foolbox_names"]

NORMS = {0.0: "l0", 1.0: "l1", 2.0: "l2", float("inf"): "linf"}

NO_START = "init_attack failed"
"""How Foolbox says that it found no adversarial image to start from."""


class FoolboxAttack(Attack):
    """A Foolbox attack; a subclass with its options is made by :func:`foolbox_attack_class`.

    Attributes:
        epsilon: largest distance, in the attack's own norm. Attacks with a fixed epsilon need it;
            for those that minimise the distance it is None unless a limit is wanted.
        distance: where Foolbox has it as an option, "l0", "l1", "l2" (the default) or "linf".
        init_attack: where Foolbox has it as an option, the name of a Foolbox attack may be given.
    """

    name: ClassVar[str] = "foolbox"
    targetable: ClassVar[bool] = False
    norm: str = "l2"  # type: ignore[misc]  # depends on the Foolbox attack and its options
    kind: ClassVar[str]
    required: ClassVar[tuple[str, ...]]
    epsilon: float | None

    def __post_init__(self) -> None:
        if self.epsilon is not None:
            check_option("epsilon", self.epsilon)
        for option in self.required:
            if getattr(self, option) is None:
                raise InputError(f"{self.name} needs the option {option}, for it has no default")
        attack = self._foolbox_attack()
        if self.epsilon is None and isinstance(attack, _attacks().base.FixedEpsilonAttack):
            raise InputError(f"{self.name} needs an epsilon: the largest distance it may use")
        with contextlib.suppress(AttributeError):  # SpatialAttack has no distance
            object.__setattr__(self, "norm", NORMS[float(attack.distance.p)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Be rebuilt by name, since the class is made on demand and cannot be found by pickle."""
        return _rebuilt, (self.name, self.options())

    def _foolbox_attack(self) -> Any:
        options = self.options()
        del options["epsilon"]
        if "distance" in options:
            options["distance"] = _distance(options["distance"])
        if isinstance(options.get("init_attack"), str):
            options["init_attack"] = _named(options["init_attack"])()
        try:
            return _named(self.kind)(**options)
        except ImportError as error:
            raise MissingExtraError(
                f"{self.name} needs another package besides Foolbox: {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.name}: {error}") from error

    def constrain(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return `images` brought back into [0, 1], and into the ball if there is an epsilon."""
        if self.epsilon is None or self.norm not in DEFAULT_EPSILON:
            return images.clamp(0.0, 1.0)
        return project(images, originals, self.epsilon, self.norm)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return what Foolbox makes of each image; the original where it finds no start."""
        attack = self._foolbox_attack()
        model = _foolbox().PyTorchModel(_Asking(oracle).eval(), bounds=(0, 1), device=images.device)
        result = images.clone()
        for row in range(len(images)):
            seed = int(noise.integers(torch.tensor([row]), high=2**31))
            with torch.inference_mode(False), _apart(seed, images.device):
                image, label = images[row : row + 1].clone(), labels[row : row + 1].clone()
                try:
                    _, found, _ = attack(model, image, label, epsilons=self.epsilon)
                except ValueError as error:
                    if not str(error).startswith(NO_START):
                        raise InputError(f"{self.name}: {error}") from error
                    found = image
            result[row] = self.constrain(image, found.detach())[0]
        return result


class _Asking(nn.Module):
    """The attacked model as Foolbox wants it: a module."""

    def __init__(self, oracle: Oracle) -> None:
        super().__init__()
        self._oracle = oracle

    def forward(self, images: Tensor) -> Tensor:
        return self._oracle.graph(images)


@contextlib.contextmanager
def _apart(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that Foolbox uses, and put them back at the end.

    Its warnings are dropped: what they tell (no start was found, say) the result tells as well.
    """
    state = np.random.get_state()  # noqa: NPY002  (the generator that Foolbox draws from)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def _foolbox() -> ModuleType:
    try:
        import foolbox
    except ImportError as error:
        raise MissingExtraError(
            f"attacks named foolbox:... need Foolbox 3; {how_to_install('foolbox')}"
        ) from error
    module: ModuleType = foolbox
    return module


def _attacks() -> ModuleType:
    module: ModuleType = _foolbox().attacks
    return module


def _is_attack(candidate: object) -> bool:
    return (
        inspect.isclass(candidate)
        and issubclass(candidate, _attacks().base.Attack)
        and not inspect.isabstract(candidate)
    )


def foolbox_names() -> list[str]:
    """Return the names of all Foolbox attacks, each as "foolbox:NAME".

    Raises:
        MissingExtraError: Foolbox is not installed.
    """
    return [
        f"foolbox:{name}" for name, value in sorted(vars(_attacks()).items()) if _is_attack(value)
    ]


def _named(kind: str) -> Any:
    """Return the Foolbox class called `kind`, or raise InputError."""
    found = getattr(_attacks(), kind, None)
    if not _is_attack(found):
        raise InputError(
            f"no attack is called 'foolbox:{kind}'; there are: {', '.join(foolbox_names())}"
        )
    return found


def _distance(name: str) -> Any:
    if name not in NORMS.values():
        raise InputError(f"distance must be one of {', '.join(NORMS.values())}, not {name!r}")
    return getattr(_foolbox().distances, name)


@functools.cache
def foolbox_attack_class(kind: str) -> type[Attack]:
    """Return the class for a Foolbox attack: a frozen dataclass of its initialiser's options.

    Args:
        kind: the name of the class in ``foolbox.attacks``.

    Raises:
        InputError: Foolbox has no such attack.
        MissingExtraError: Foolbox is not installed.
    """
    foreign = _named(kind)
    required: list[str] = []
    fields: list[Any] = [("epsilon", float | None, dataclasses.field(default=None))]
    for option in inspect.signature(foreign).parameters.values():
        if option.kind in (option.VAR_POSITIONAL, option.VAR_KEYWORD):
            continue
        default = "l2" if option.name == "distance" else option.default
        if default is option.empty:
            required.append(option.name)
            default = None
        fields.append((option.name, Any, dataclasses.field(default=default)))
    namespace = {
        "name": f"foolbox:{kind}",
        "kind": kind,
        "required": tuple(required),
        "__doc__": f"Foolbox's {kind}.",
    }
    made: type[Attack] = dataclasses.make_dataclass(
        f"Foolbox{kind}",
        fields,
        bases=(FoolboxAttack,),
        namespace=namespace,
        frozen=True,
        kw_only=True,
    )
    return made


def _rebuilt(name: str, options: dict[str, Any]) -> Attack:
    return create(name, **options)


register_prefix("foolbox", foolbox_attack_class)
