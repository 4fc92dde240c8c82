"""The worst of all attacks on a vote, image by image.

What an evaluation of a program rests on is the smallest change that anybody finds, so all methods
of :mod:`nversion.attacks.votes.methods` are run and the nearest point of all counts. Each image is
let go once several methods in a row have brought it no nearer; that depends on the image alone, so
its result is the same in every batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.attacks.ball import BALLS
from nversion.attacks.base import AttackResult, result_of
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.methods import Budget, methods_for
from nversion.attacks.votes.search import Search
from nversion.ensemble import ABSTENTION, Ensemble
from nversion.errors import InputError
from nversion.models import check_images, check_labels, frozen
from nversion.modes import ordinary
from nversion.norms import norm_name
from nversion.repeats import FEW, check_repeats

__all__ = [
    "ProgramAttackResult",
    "attack_program",
    "checked_votes",
    "hunt",
    "split_rows",
]

AT_ONCE = 64
"""Images attacked together, at the most."""

MOST_GRADIENTS = 2**26
"""Numbers held of the members' gradients by class at once, about: 256 MB."""

PATIENCE = {"smooth": 2, "counted": 3}
"""An image is let go after so many methods in a row that brought it no nearer,"""

GAIN = 2e-3
"""by this share of its distance."""


@dataclasses.dataclass(frozen=True)
class ProgramAttackResult(AttackResult):
    """The nearest images at which a program's vote falls, as :class:`AttackResult`, and more.

    ``success`` means that the verdict on the returned image is not the label: a wrong class, or an
    abstention, which ``predictions`` has as -1.

    Attributes:
        attack: the name of the method that found each image, [count]; "" where none did.
        wrong: the same for wrong verdicts alone, abstentions not counted; None where the vote never
            abstains, and both are the same.
    """

    attack: tuple[str, ...] = ()
    wrong: ProgramAttackResult | None = None


@typed
@ordinary()
def attack_program(
    program: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float | str = 2,
    *,
    seed: int = 0,
) -> ProgramAttackResult:
    """Attack a program's vote by all means known here; return the worst of them for each image.

    Args:
        program: a :class:`nversion.Program`, or another module with the methods of
            :class:`nversion.ensemble.Ensemble`.
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count], the true classes.
        norm: 2 or infinity (a float, or "inf"): which distance is to be small.
        seed: for methods that draw at random; one seed and image give one result in any batch.

    Returns:
        The nearest images found. ``forwards`` and ``backwards`` count images sent through all
        members once; a member's gradients for several classes count each by its share.

    Raises:
        InputError: malformed images or labels, another norm, or a model that is no ensemble.
        UnsupportedModuleError: a member's answers do not repeat.
    """
    ensemble = checked_votes(program, images, labels)
    kind = norm_name(norm, BALLS)
    parts = []
    with frozen(program):
        check_repeats(program, images[:FEW], "an attack's success")
        for rows in split_rows(ensemble, images):
            parts.append(_attacked(ensemble, images[rows], labels[rows], kind, seed))
    return _joined(parts)


def checked_votes(program: nn.Module, images: Tensor, labels: Tensor) -> Ensemble:
    """Return a program whose votes can be asked about these images.

    Raises:
        InputError: it is no ensemble, or there are no images, or they or the labels are malformed.
    """
    if not isinstance(program, Ensemble):
        raise InputError(
            f"the vote of {type(program).__name__} cannot be asked for its members; make a "
            "program of the networks: nversion.Program([model, ...])"
        )
    check_images(images)
    check_labels(labels, images.shape[0])
    if len(images) == 0:
        raise InputError("there are no images to attack")
    return program


def split_rows(program: Ensemble, images: Tensor) -> tuple[Tensor, ...]:
    """Return the rows to treat together; what comes of them does not depend on it."""
    each = len(program.rule.weights) * 10 * images[0].numel()
    size = max(1, min(AT_ONCE, MOST_GRADIENTS // each))
    return torch.split(torch.arange(len(images)), size)


def _attacked(
    program: Ensemble, images: Tensor, labels: Tensor, norm: str, seed: int
) -> ProgramAttackResult:
    """Return the result for images that are attacked together."""
    members = Members(program, images)
    device = members.oracle.device
    originals = images.detach().to(device=device, dtype=torch.float32).contiguous()
    labels = labels.to(device)
    logits = members.logits(originals)
    check_labels(labels, len(labels), logits.shape[2])
    if not bool(logits.isfinite().all()):
        raise InputError("a member gives logits that are not finite")
    verdicts = program.verdicts(logits.transpose(0, 1))
    right = (verdicts == labels).nonzero().squeeze(1)
    search, budget = Search(members, originals[right], labels[right], norm), Budget()
    ways = [False, True] if members.rule.abstains else [False]
    if len(right) > 0:
        for verdict in ways:
            for _ in hunt(search, verdict, seed, budget):
                pass
    results = [
        _result(program, search, originals, verdicts, right, verdict, images.device)
        for verdict in ways
    ]
    # All of it was spent on both ways to fall.
    forwards, backwards = members.forwards + budget.forwards, members.backwards + budget.backwards
    results = [dataclasses.replace(one, forwards=forwards, backwards=backwards) for one in results]
    return dataclasses.replace(results[0], wrong=results[1] if len(results) > 1 else None)


def hunt(search: Search, verdict: bool, seed: int, budget: Budget) -> Iterator[tuple[str, int]]:
    """Run the methods in turn, each on the images that are still worth it.

    Args:
        search: the nearest points so far.
        verdict: whether a wrong verdict is asked for; otherwise an abstention will do.
        seed: for methods that draw at random.
        budget: what attacks that count for themselves add to.

    Yields:
        After each method that was run, its name and for how many images.
    """
    idle = torch.zeros_like(search.labels)
    patience = PATIENCE["smooth" if search.members.rule.smooth else "counted"]
    for method in methods_for(search, verdict, seed, budget):
        before = search.distances(verdict)
        wanted = before.isinf() if method.last_resort else (idle < patience) | before.isinf()
        rows = wanted.nonzero().squeeze(1)
        if len(rows) == 0:
            continue
        search.begin(method.name)
        method.run(rows)
        after = search.distances(verdict)
        gained = after < (1.0 - GAIN) * before
        idle[rows] = torch.where(gained[rows], 0, idle[rows] + 1)
        yield method.name, len(rows)


def _result(
    program: Ensemble,
    search: Search,
    originals: Tensor,
    verdicts: Tensor,
    right: Tensor,
    verdict: bool,
    device: torch.device,
) -> ProgramAttackResult:
    """Return what was found of one way to fall, after a last look at exactly these images."""
    members, nearest = search.members, search.nearest(verdict)
    returned, success = originals.clone(), torch.zeros_like(verdicts, dtype=torch.bool)
    predictions, names = verdicts.clone(), [""] * len(verdicts)
    if len(right) > 0:
        logits = members.logits(nearest.points)
        found = nearest.squares.isfinite()
        found &= members.lost(logits, search.labels, verdict=verdict)
        said = program.verdicts(logits.transpose(0, 1))
        found &= said != search.labels
        found &= (said != ABSTENTION) | (not verdict)
        success[right] = found
        returned[right[found]] = nearest.points[found]
        predictions[right[found]] = said[found]
        for place, name, good in zip(
            right.tolist(), search.found_by(verdict), found.tolist(), strict=True
        ):
            names[place] = name if good else ""
    correct = torch.zeros_like(success)
    correct[right] = True
    plain = result_of(originals, returned, success, correct, predictions, members, device)
    return ProgramAttackResult(**vars(plain), attack=tuple(names))


def _joined(parts: list[ProgramAttackResult]) -> ProgramAttackResult:
    """Return one result for the images of all, in order."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, object] = {}
    for field in dataclasses.fields(ProgramAttackResult):
        column = [getattr(part, field.name) for part in parts]
        if field.name == "wrong":
            values[field.name] = None if column[0] is None else _joined(column)
        elif isinstance(column[0], Tensor):
            values[field.name] = torch.cat(column)
        elif isinstance(column[0], tuple):
            values[field.name] = tuple(name for names in column for name in names)
        else:
            values[field.name] = sum(column)
    return ProgramAttackResult(**values)  # type: ignore[arg-type]
