"""Attack certified images just inside their certificates, many thousand times; nothing may succeed.

    python benchmarks/soundness.py [--networks N] [--votes N] [--images N] [--methods linear,alpha]
        [--out FILE]

Random networks of every layer kind that can be certified, and networks trained on the digits that
come with the package, are certified in L1, L2 and Linf, in the plain ball and in the box, by each
method; votes of three trained networks by every voter, some of which abstain, in the box. Then

- projected gradient descent from random starts, within 0.999999 of each radius (each image and
  start counts as one attempt),
- every attack of the house with its defaults (each image counts as one attempt): what it finds
  must lie outside every certificate, of its own norm and of the other two,

try to break them; what descent finds is tried in float64 and, cast to it, in the model's own
precision, too. Among the kinds are networks of 16 layers, biases that cancel, batch norms of large
means, float16 and bfloat16; the share of radii that are 0 is printed by kind. The count and the
number of violations are printed; any violation is an error.
Networks that compute something else than what tracing sees (hooks, replaced calls), or that draw
at random, have to be refused, alone and in a vote, for certificates, and the random ones for
attacks too; each that is not counts as a violation.
"""

from __future__ import annotations

import argparse
import copy
import functools
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import NVersionError, UnsupportedModuleError
from nversion.models import frozen, predict
from nversion.program import voter_names

NORMS = (1.0, 2.0, math.inf)
INSIDE = 0.999999
SHAPE = (1, 8, 8)
VERSIONS = 5
VOTERS: tuple[tuple[str, str | None], ...] = (
    *((name, None) for name in voter_names()),
    *((name, "agreement=1") for name in ("mean-logits", "majority", "borda")),
    *((name, "margin=0.3") for name in ("mean-softmax", "plurality", "consensus")),
)
"""How three versions vote, and when their verdict is withheld."""


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add two convolutions to their input."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def bodies() -> dict[str, list[nn.Module]]:
    """Return hidden layers of every kind; a classifying layer is added."""
    return {
        "dense": [nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU()],
        "leaky": [nn.Flatten(), nn.Linear(64, 24), nn.LeakyReLU(0.1)],
        "conv": [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten()],
        "wide": [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 12, 3), nn.ReLU(), nn.Flatten()],
        "pooled": [
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 12, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(48, 16), nn.ReLU(),
        ],
        "deep": [
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(),
            nn.Conv2d(6, 4, 3), nn.LeakyReLU(0.1), nn.Flatten(),
        ],
        "deep pooled": [
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(54, 16), nn.ReLU(),
        ],
        "overlapping": [
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1), nn.Flatten(),
        ],
        "strided": [
            nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        ],
        "residual": [nn.Conv2d(1, 4, 3), nn.ReLU(), Block(4), nn.Flatten()],
        "curves": [nn.Conv2d(1, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten()],
        "16 dense": [nn.Flatten(), *dense(15, nn.ReLU)],
        "16 sigmoid": [nn.Flatten(), *dense(15, nn.Sigmoid)],
        "16 residual": [nn.Conv2d(1, 3, 3), nn.ReLU(), *(Block(3) for _ in range(7)), nn.Flatten()],
        "cancelling": [nn.Flatten(), *dense(3, nn.ReLU)],
        "large means": [
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16),
            nn.BatchNorm1d(16), nn.ReLU(),
        ],
        "float16": [
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16),
            nn.ReLU(),
        ],
        "bfloat16": [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), *dense(2, nn.ReLU, 144)],
    }  # fmt: skip


def dense(depth: int, activation: type[nn.Module], width: int = 64) -> list[nn.Module]:
    """Return so many linear layers, with activations behind them."""
    widths = [width, *[16] * depth]
    pairs = itertools.pairwise(widths)
    return [
        layer for n, m in pairs for layer in (gained(nn.Linear(n, m), activation), activation())
    ]


def gained(layer: nn.Linear, activation: type[nn.Module]) -> nn.Linear:
    """Return the layer with weights that keep values from dying away in deep networks."""
    gain = 4.0 if activation is nn.Sigmoid else 1.0
    nn.init.xavier_normal_(layer.weight, gain * math.sqrt(2.0))
    return layer


def trouble(name: str, model: nn.Module) -> nn.Module:
    """Return a network with the large numbers, or the precision, that its kind is named for."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        if name == "cancelling":
            for first, second in itertools.pairwise(layers[:3]):
                first.bias.add_(300.0)
                second.bias.sub_(second.weight.sum(dim=1) * 300.0)
        for norm in model.modules():
            if name == "large means" and isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                before = list(model.modules())[list(model.modules()).index(norm) - 1]
                assert isinstance(before, nn.Conv2d | nn.Linear)
                assert before.bias is not None
                assert norm.running_mean is not None
                before.bias += 1e3
                norm.running_mean += 1e3
    return model.to(getattr(torch, name)) if name in ("float16", "bfloat16") else model


def networks(count: int, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield `count` networks, half of them trained on the digits for a moment."""
    data = nv.load_dataset("digits")
    names = list(bodies())
    for i in range(count):
        name = names[i % len(names)]
        torch.manual_seed(1000 * seed + i)
        layers = bodies()[name]
        width = nn.Sequential(*layers).eval()(torch.zeros(1, *SHAPE)).shape[1]
        model = nn.Sequential(*layers, nn.Linear(width, 10))
        trained = (i + i // len(names)) % 2 == 0
        if trained:
            fit(model, data.train.images, data.train.labels)
        else:
            for parameter in model.parameters():
                parameter.data.mul_(1.5)
        yield f"{name}{' trained' if trained else ''}", trouble(name, model.eval())


def votes(count: int, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield `count` programs of three trained networks, the voters in turn."""
    trained = [model for name, model in networks(2 * VERSIONS, seed + 1) if "trained" in name]
    for i in range(count):
        voter, abstain = VOTERS[i % len(VOTERS)]
        members = [copy.deepcopy(trained[(i + j) % len(trained)]) for j in range(3)]
        name = f"vote {voter}" if abstain is None else f"vote {voter} {abstain}"
        yield name, nv.Program(members, voter=voter, abstain=abstain)


class Unsteady(nn.Module):
    """A network behind a step that is taken at each call."""

    def __init__(self, model: nn.Module, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.step = model, step

    def forward(self, x: Tensor) -> Tensor:
        """Take the step first."""
        logits: Tensor = self.model(self.step(x))
        return logits


def hooked(seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield networks that compute something else than what tracing sees."""

    def scaled(x: Tensor) -> Tensor:
        return x * 3 - 1

    def replace(module: nn.Module) -> None:
        own = module.forward
        module.forward = lambda x: own(scaled(x))

    changes: dict[str, Callable[[nn.Module], object]] = {
        "pre-hook": lambda m: m.register_forward_pre_hook(lambda _, inputs: scaled(inputs[0])),
        "hook": lambda m: m.register_forward_hook(lambda _, __, output: scaled(output)),
        "forward": replace,
    }
    for (name, change), layer in itertools.product(changes.items(), (None, 0, -1)):
        ((_, model),) = networks(1, seed)
        assert isinstance(model, nn.Sequential)
        change(model if layer is None else model[layer])
        yield f"{name} on {'the model' if layer is None else f'layer {layer}'}", model


def drawing(seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield networks that draw at random when they are evaluated."""
    steps: dict[str, Callable[[Tensor], Tensor]] = {
        "dropout": lambda x: nn.functional.dropout(x, 0.5),
        "dropout in forward": lambda x: nn.Dropout(0.5)(x),
        "rare dropout": lambda x: nn.functional.dropout(x, 1e-6),
        "noise": lambda x: x + 0.1 * torch.randn(SHAPE),
        "numpy": lambda x: x * float(np.random.default_rng().uniform(0.9, 1.1)),
    }
    for name, step in steps.items():
        ((_, model),) = networks(1, seed)
        yield name, Unsteady(model, step).eval()


def unrefused(images: Tensor, seed: int) -> tuple[int, int]:
    """Return how many requests that must be refused were made, and how many were not refused."""
    made = wrong = 0
    attack = nv.attacks.create("gradient")
    for name, model in itertools.chain(hooked(seed), drawing(seed)):
        vote = nv.Program([model, copy.deepcopy(model)], voter="majority")
        labels = predict(model, images)
        asked: list[Callable[[], object]] = [
            functools.partial(nv.certify, model, images, labels, 2.0),
            functools.partial(nv.certify, vote, images, labels, 2.0),
        ]
        if isinstance(model, Unsteady):
            asked += [functools.partial(attack, one, images, labels) for one in (model, vote)]
        for ask in asked:
            made += 1
            try:
                ask()
            except UnsupportedModuleError:
                continue
            wrong += 1
            print(f"    {name} is not refused", flush=True)
    return made, wrong


def fit(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Train for a hundred steps."""
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(100):
        rows = torch.arange(64 * step, 64 * step + 64) % len(images)
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()


def project(d: Tensor, radii: Tensor, norm: float) -> Tensor:
    """Return flat changes d [rows, pixels] pulled into the balls."""
    if norm == math.inf:
        return torch.minimum(torch.maximum(d, -radii[:, None]), radii[:, None])
    if norm == 2.0:
        shrink: Tensor = (radii / d.norm(dim=1).clamp(min=1e-30)).clamp(max=1.0)
        return d * shrink[:, None]
    size = d.abs().sort(dim=1, descending=True).values
    sums = size.cumsum(dim=1) - radii[:, None]
    ranks = torch.arange(1, d.shape[1] + 1, dtype=d.dtype)
    last = (size * ranks > sums).sum(dim=1, keepdim=True)
    last = last.clamp(min=1)
    threshold = (sums.gather(1, last - 1) / last).clamp(min=0.0)
    return d.sign() * (d.abs() - threshold).clamp(min=0.0)


def descend(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    radii: Tensor,
    norm: float,
    box: bool,
    starts: int,
    seed: int,
    own: nn.Module | None = None,
) -> int:
    """Return how many of `starts` attempts per image leave the class.

    They are made in float64, and are tried in the precision of `own`, the model before it was cast.
    """
    x = images.double().repeat(starts, 1, 1, 1)
    flat, labels = x.flatten(1), labels.repeat(starts)
    radius = (radii.double() * INSIDE).repeat(starts)
    generator = torch.Generator().manual_seed(seed)
    d = torch.randn(flat.shape, generator=generator, dtype=flat.dtype)
    d = d * radius[:, None] / (d.norm(norm, dim=1, keepdim=True).clamp(min=1e-30))
    broken = torch.zeros(len(x), dtype=torch.bool)
    steps = 20
    for step in range(steps + 1):
        for _ in range(3):  # alternate projections end in both sets; the ball comes last
            if box:
                d = (flat + d).clamp(0.0, 1.0) - flat
            d = project(d, radius, norm)
        z = (flat + d).reshape(x.shape).requires_grad_(True)
        logits = model(z)
        lead = logits.gather(1, labels[:, None]).squeeze(1)
        margin = lead - logits.scatter(1, labels[:, None], -math.inf).amax(dim=1)
        valid = torch.ones_like(broken)
        if box:
            valid = ((flat + d) >= 0.0).all(dim=1) & ((flat + d) <= 1.0).all(dim=1)
        lost = margin.detach() <= 0
        if isinstance(model, nv.Program):
            # What a hard voter shows to gradients is not what it decides.
            lost = model.vote(z.detach()).labels != labels
        broken |= lost & valid & (radius > 0)
        if own is not None:
            broken |= lost_as_evaluated(own, x, z.detach(), labels, radius, norm, box)
        if step == steps:
            break
        (gradient,) = torch.autograd.grad(margin.sum(), z)
        g = gradient.flatten(1)
        length = radius[:, None] * (0.5 if step < steps // 2 else 0.1)
        if norm == math.inf:
            d = d - length * g.sign()
        elif norm == 2.0:
            d = d - length * g / g.norm(dim=1, keepdim=True).clamp(min=1e-30)
        else:
            top = g.abs() >= g.abs().topk(1 + step % 4, dim=1).values[:, -1:]
            d = d - length * g.sign() * top / top.sum(dim=1, keepdim=True)
    return int(broken.sum())


def lost_as_evaluated(
    model: nn.Module,
    images: Tensor,
    points: Tensor,
    labels: Tensor,
    radii: Tensor,
    norm: float,
    box: bool,
) -> Tensor:
    """Return which points, cast to the model's precision, lie in the balls and leave the class."""
    points = points.clamp(0.0, 1.0) if box else points
    cast = points.to(next(model.parameters()).dtype)
    inside = (cast.double() - images).flatten(1).norm(norm, dim=1) <= radii.double()
    lost: Tensor = inside & (radii > 0) & (predict(model, cast) != labels)
    return lost


def house(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    radii: dict[tuple[str, float, bool], Tensor],
    attacks: list[str],
    seed: int,
) -> tuple[int, int]:
    """Return (attempts, violations) of the house's attacks; their images are in the box."""
    attempts = violations = 0
    for name in attacks:
        try:
            result = nv.attacks.create(name)(model, images, labels, seed=seed)
        except NVersionError as error:
            print(f"    {name} left out: {error}", flush=True)
            continue
        attempts += len(images)
        lost = result.success
        if isinstance(model, nv.Program):
            # What a hard voter, or an abstention, decides is not what it shows to attacks.
            lost = model.vote(result.images).labels != labels
        changes = (result.images.double() - images.double()).flatten(1)
        for (_, norm, _), certified in radii.items():
            inside = changes.norm(norm, dim=1) <= certified.double()
            violations += int((lost & inside).sum())
    return attempts, violations


def main() -> int:
    """Run the campaign and print the count."""
    parser = argparse.ArgumentParser(description="Attack certified images, count violations.")
    parser.add_argument("--networks", type=int, default=36)
    parser.add_argument("--votes", type=int, default=len(VOTERS))
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default="linear,alpha")
    parser.add_argument("--attacks", default=",".join(nv.attacks.names()))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    data = nv.load_dataset("digits")
    methods = options.methods.split(",")
    attempts = certificates = 0
    zeros: dict[str, list[int]] = {}
    requests, violations = unrefused(data.test.images[: options.images], options.seed)
    print(f"{requests} requests to refuse: {requests - violations} refused", flush=True)
    models = itertools.chain(
        networks(options.networks, options.seed), votes(options.votes, options.seed)
    )
    for index, (name, model) in enumerate(models):
        first = options.images * index % (len(data.test.images) - options.images)
        images = data.test.images[first : first + options.images]
        boxes: tuple[bool, ...] = (False, True)
        if isinstance(model, nv.Program):
            # A program refuses what is not an image.
            labels, boxes = model.vote(images).labels, (True,)
        else:
            labels = predict(model, images)
        images, labels = images[labels >= 0], labels[labels >= 0]
        radii: dict[tuple[str, float, bool], Tensor] = {}
        for method, norm, box in itertools.product(methods, NORMS, boxes):
            domain = (0.0, 1.0) if box else None
            found = nv.certify(model, images, labels, norm, box=domain, method=method)
            radii[method, norm, box] = found
            certificates += int((found > 0).sum())
            counted = zeros.setdefault(name.removesuffix(" trained"), [0, 0])
            counted[0] += int((found == 0).sum())
            counted[1] += len(found)
        chosen = [a for a in options.attacks.split(",") if a]
        tried, broken = house(model, images, labels, radii, chosen, options.seed)
        attempts, violations = attempts + tried, violations + broken
        with frozen(model):
            own = None if isinstance(model, nv.Program) else copy.deepcopy(model)
            model.double()
            for (_, norm, box), certified in radii.items():
                violations += descend(
                    model, images, labels, certified, norm, box, options.starts, index, own
                )
                attempts += options.starts * int((certified > 0).sum())
        spent = time.perf_counter() - began
        counts = f"{attempts:7} attempts, {violations} violations"
        print(f"{index + 1:3} {name:34} {counts}, {spent:.0f} s", flush=True)
    seconds = time.perf_counter() - began
    for kind, (none, all_of_them) in zeros.items():
        print(f"{kind:34} {none} of {all_of_them} radii are 0")
    print(f"{attempts} attempts on {certificates} certificates: {violations} violations")
    if options.out:
        summary = {
            "attempts": attempts,
            "certificates": certificates,
            "violations": violations,
            "share_of_zeros": {kind: none / count for kind, (none, count) in zeros.items()},
            "requests_to_refuse": requests,
        }
        options.out.write_text(json.dumps({**summary, "seconds": seconds}, indent=1) + "\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
