"""From a ``torch.nn.Module`` to a :class:`~nversion.certification.network.graph.Network`.

The module is traced with ``torch.fx`` in evaluation mode; each traced step becomes a node, or an
error that names the module. A log-softmax is left out: it changes all logits of an image by one
number, so margins between classes stay what they were. That is so only as long as the steps after
it treat all classes alike (sums, shifts, one factor for all); before any other step it is refused.
A softmax is left out at the very end alone, of a model of probabilities that
:func:`~nversion.outputs.as_logits` makes one of logits. A value that is read again after a step has
changed it in place is refused too.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from nversion.certification.arithmetic import SINGLE, Arithmetic
from nversion.certification.network.folding import fuse
from nversion.certification.network.graph import (
    Image,
    LogSoftmax,
    Network,
    Node,
    Scale,
    Sum,
)
from nversion.certification.network.modules import Place, Unfit
from nversion.certification.network.supported import (
    ARITHMETIC,
    BATCH_NORMS,
    DROPOUTS,
    FUNCTIONS,
    IDENTITY,
    LAYERS,
    RESHAPES,
    SUPPORTED,
    flat,
    layer_node,
    scaled,
)
from nversion.errors import UnsupportedModuleError
from nversion.models import device_of, dtype_of, frozen
from nversion.outputs import asked, logits_of

__all__ = ["only_layers", "trace", "trace_steps"]


def trace(model: nn.Module, shape: tuple[int, ...]) -> Network:
    """Return `model` as a network of the nodes that can be bounded, fused where that is tighter.

    The arguments and errors are those of :func:`trace_steps`.
    """
    return fuse(trace_steps(model, shape))


def trace_steps(model: nn.Module, shape: tuple[int, ...]) -> Network:
    """Return `model` as a network of the nodes that can be bounded, one for each of its steps.

    What tracing cannot see (hooks, say) is left out: see
    :mod:`nversion.certification.network.faithful` for a network that is known to be the model.

    Args:
        model: maps [count, *shape] to logits [count, classes].
        shape: of one image, [channels, height, width].

    Raises:
        UnsupportedModuleError: a module or operation that cannot be bounded; it is named.
        InputError: it cannot be evaluated on images of that shape.
    """
    with frozen(model):
        try:
            # Without a module of generated code around it: nobody would call that.
            graph = _listed(model) if only_layers(model) else fx.Tracer().trace(model)
        except Exception as error:  # the tracer may raise anything that the model's code raises
            raise UnsupportedModuleError(
                f"{type(model).__name__} cannot be traced with torch.fx, so it cannot be "
                f"certified: {error}"
            ) from error
        builder = _Builder(model, graph, _coarsest(model), device_of(model))
        example = torch.zeros(1, *shape, dtype=dtype_of(model), device=device_of(model))
        with torch.no_grad(), asked("the model", tuple(shape)):
            builder.run(example)
    # Numbers in the model's code and weights of average pools were made on the processor.
    return builder.network().to(torch.float64, device_of(model))


def only_layers(model: nn.Module) -> bool:
    """Tell whether a model is but torch's own layers one after the other.

    Then it runs no code of its own, but ``nn.Sequential``'s.
    """
    if type(model) is nn.Sequential:
        return all(map(only_layers, model))
    return type(model) in LAYERS


def _listed(model: nn.Module) -> fx.Graph:
    """Return what tracing gives for a model of torch's own layers, in less time."""
    names = {module: name for name, module in model.named_modules()}
    graph = fx.Graph()
    value = graph.placeholder("input")
    for layer in _layers(model):
        value = graph.call_module(names[layer], (value,))
    graph.output(value)
    return graph


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) is nn.Sequential:
        for part in model:
            yield from _layers(part)
    else:
        yield model


def _coarsest(model: nn.Module) -> torch.dtype:
    """Return the least exact of the precisions that a model computes in."""
    used = {t.dtype for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()}
    return max(used | {dtype_of(model)}, key=lambda dtype: torch.finfo(dtype).eps)


class _Builder(fx.Interpreter):
    """Runs a module's traced steps on one image and writes down a node for each."""

    def __init__(
        self, module: nn.Module, graph: fx.Graph, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(module, garbage_collect_values=False, graph=graph)
        self.extra_traceback = False
        self.arithmetic = Arithmetic.of(dtype, device)
        self.nodes: list[Node] = []
        self.index: dict[fx.Node, int] = {}
        self.logits: fx.Node | None = None
        self.shifted: dict[fx.Node, str] = {}
        """Nodes that are right up to one number per image, and the log-softmax they owe it to."""
        self.probabilities: dict[fx.Node, str] = {}
        """Nodes whose softmax is left out, and the softmax."""
        self.changes: dict[fx.Node, int] = {}
        """How often each value had been changed in place when it was made."""

    def network(self) -> Network:
        if self.logits is None or self.logits not in self.index:
            raise UnsupportedModuleError("the model must return one tensor of logits")
        if self.logits in self.probabilities:
            softmax = self.probabilities[self.logits].split(" ", 1)[1]
            raise UnsupportedModuleError(
                f"the softmax {softmax} at the end gives probabilities, but the model is declared "
                "to give logits; declare it by nversion.as_logits(model), or give the network up "
                "to its logits"
            )
        nodes = self.nodes[: self.index[self.logits] + 1]
        if len(nodes[-1].shape) != 1:
            raise UnsupportedModuleError(
                f"the model must return logits [count, classes], not [count, *{nodes[-1].shape}]"
            )
        shifted = False
        while isinstance(nodes[-1], LogSoftmax):
            nodes, shifted = nodes[: nodes[-1].inputs[0] + 1], True
        return Network(_reachable(nodes), self.arithmetic, shifted)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self._refuse_stale(n)
        if isinstance(value, Tensor):
            self.changes[n] = value._version
        if n.op == "output":
            argument = n.args[0]
            self.logits = argument if isinstance(argument, fx.Node) else None
        elif n.op == "placeholder":
            if self.nodes:
                raise UnsupportedModuleError("the model must take one tensor of images only")
            self._add(n, Image((), tuple(value.shape[1:]), "input"))
        elif n.op != "get_attr" and any(parent in self.index for parent in n.all_input_nodes):
            if isinstance(value, Tensor):
                self._translate(n, value)
            elif not isinstance(value, int | torch.Size):
                raise self._unsupported(n, f"it gives a {type(value).__name__}, not one tensor")
        return value

    def _add(self, n: fx.Node, node: Node) -> None:
        self.index[n] = len(self.nodes)
        self.nodes.append(node)

    def _describe(self, n: fx.Node) -> str:
        if n.op == "call_module":
            module = self.module.get_submodule(str(n.target))
            return f"module '{n.target}' ({type(module).__name__})"
        return f"operation '{getattr(n.target, '__name__', n.target)}' (node '{n.name}')"

    def _unsupported(self, n: fx.Node, reason: str = "") -> UnsupportedModuleError:
        """Return the refusal of a step: for `reason`, else because there is no node of its kind."""
        why = f": {reason}" if reason else f"; supported are {SUPPORTED}"
        return UnsupportedModuleError(
            f"{self._describe(n)} cannot be certified with linear bounds{why}. Randomised "
            "smoothing certifies any model"
        )

    def _refuse_stale(self, n: fx.Node) -> None:
        """Raise if `n` changed a value in place that a later step reads, as its node is the old."""
        for earlier, made in self.changes.items():
            if self.env[earlier]._version != made and any(n < user for user in earlier.users):
                raise UnsupportedModuleError(
                    f"{self._describe(n)} changes a value in place that is read again later; "
                    "write it without inplace=True"
                )

    def _follow_shift(self, n: fx.Node, node: Node) -> None:
        """Note whether `n` is right up to one number per image, and refuse what that number spoils.

        A log-softmax is such a value, being left out; so are sums with it and its multiples.
        """
        known = [self.shifted[parent] for parent in n.all_input_nodes if parent in self.shifted]
        if self._is_log_softmax(n):
            self.shifted[n] = known[0] if known else self._describe(n)
        elif known:
            alike = isinstance(node, Scale) and bool((node.scale == node.scale.flatten()[0]).all())
            if not (node is IDENTITY or isinstance(node, Sum) or alike):
                raise UnsupportedModuleError(
                    f"the log-softmax {known[0].split(' ', 1)[1]} can be certified only at the end "
                    f"of a network, but {self._describe(n)} comes after it"
                )
            self.shifted[n] = known[0]

    def _follow_softmax(self, n: fx.Node, node: Node) -> None:
        """Note whether `n` is right up to a softmax, and refuse any step after it."""
        known = [self.probabilities[p] for p in n.all_input_nodes if p in self.probabilities]
        softmax = self._is(n, nn.Softmax, "softmax")
        passes = node is IDENTITY and not softmax and not self._is_log_softmax(n)
        if n.target is logits_of:
            if not known:
                raise UnsupportedModuleError(
                    "the model gives probabilities, but not by a softmax at its end, so that it "
                    "cannot be certified; give the network up to its logits"
                )
        elif known and not passes:
            raise UnsupportedModuleError(
                f"the softmax {known[0].split(' ', 1)[1]} can be certified only at the end of a "
                f"network, but {self._describe(n)} comes after it"
            )
        elif known or softmax:
            self.probabilities[n] = known[0] if known else self._describe(n)

    def _is_log_softmax(self, n: fx.Node) -> bool:
        return self._is(n, nn.LogSoftmax, "log_softmax")

    def _is(self, n: fx.Node, kind: type[nn.Module], function: str) -> bool:
        if n.op == "call_module":
            return isinstance(self.module.get_submodule(str(n.target)), kind)
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
        return name == function

    def _translate(self, n: fx.Node, value: Tensor) -> None:
        parents = [self.index[p] for p in n.all_input_nodes if p in self.index]
        shape, before = tuple(value.shape[1:]), self.nodes[parents[0]].shape
        place = Place(tuple(parents[:1]), shape, str(n.target), before)
        if value.shape[:1] != (1,):
            raise self._unsupported(n)
        node: Node | None
        try:
            if n.op == "call_module":
                module = self.module.get_submodule(str(n.target))
                node = self._from_layer(n, module, place)
            else:
                node = self._from_call(n, place)
        except Unfit as unfit:
            raise self._unsupported(n, str(unfit)) from None
        if node is None:
            raise self._unsupported(n)
        self._follow_shift(n, node)
        self._follow_softmax(n, node)
        if node is IDENTITY:
            self.index[n] = parents[0]
        else:
            self._add(n, node)

    def _from_layer(self, n: fx.Node, module: nn.Module, place: Place) -> Node | None:
        """Return the node of a layer, unless it is in training mode where that counts."""
        if isinstance(module, DROPOUTS) and module.training and module.p > 0:
            raise UnsupportedModuleError(
                f"{self._describe(n)} draws at random in evaluation mode as well, so no "
                "certificate would hold; functional dropout needs training=self.training"
            )
        if isinstance(module, BATCH_NORMS) and n.op == "call_module" and module.training:
            raise UnsupportedModuleError(
                f"{self._describe(n)} is in training mode whatever the model is in, so its "
                "results depend on the batch; it can be certified in evaluation mode only"
            )
        return layer_node(module, place)

    def _from_call(self, n: fx.Node, place: Place) -> Node | None:
        """Return the node of a function or method, None where there is none.

        Raises:
            Unfit: there is a node for its kind, but not as it is called.
        """
        target = n.target
        if target is logits_of:
            return IDENTITY  # of what it is called on: see `_follow_softmax`
        if isinstance(target, types.FunctionType) and not target.__module__.startswith("torch."):
            return None  # of the model's own, whatever its name (``torch.fx.wrap``)
        name = target if isinstance(target, str) else getattr(target, "__name__", "")
        traced = [a for a in n.args if isinstance(a, fx.Node) and a in self.index]
        arguments: Any = self.map_nodes_to_values(n.args, n)
        options: Any = self.map_nodes_to_values(n.kwargs, n)
        place = dataclasses.replace(place, name=name)
        if name in RESHAPES:
            return flat(place)
        if name in ARITHMETIC:
            if options:
                given = ", ".join(f"{key}={value!r}" for key, value in options.items())
                raise Unfit(f"it has {given}; write the factor as a multiplication of its own")
            if len(traced) == 2:
                return self._of_two(place, tuple(self.index[t] for t in traced))
            # PyTorch takes numbers in double precision for float64 values, in single for all else.
            wide = torch.float64 if self.arithmetic.sums < SINGLE.sums else torch.float32
            first = traced[0] is n.args[0]
            number = arguments[1] if first else arguments[0]
            if not isinstance(number, Tensor):
                number = torch.as_tensor(number, dtype=wide)
            return scaled(place, number, first)
        rule = FUNCTIONS.get(name)
        if rule is None or len(traced) != 1 or traced[0] is not n.args[0]:
            return None
        layer = rule(*arguments[1:], **options)
        return self._from_layer(n, layer, dataclasses.replace(place, name=n.name))

    def _of_two(self, place: Place, pair: tuple[int, ...]) -> Node:
        """Return the sum of two branches; nothing else of two has a node."""
        shapes = [list(self.nodes[i].shape) for i in pair]
        if "add" not in place.name:
            raise Unfit("both sides depend on the image; only their sum has a rule")
        if shapes != [list(place.shape)] * 2:
            raise Unfit(f"the branches differ in shape, {shapes[0]} and {shapes[1]}")
        return Sum(pair, place.shape, place.name)


def _reachable(nodes: list[Node]) -> tuple[Node, ...]:
    """Return the nodes that the last one depends on, renumbered."""
    wanted = {len(nodes) - 1, 0}
    for index in range(len(nodes) - 1, -1, -1):
        if index in wanted:
            wanted.update(nodes[index].inputs)
    kept = sorted(wanted)
    position = {old: new for new, old in enumerate(kept)}
    return tuple(
        dataclasses.replace(nodes[old], inputs=tuple(position[i] for i in nodes[old].inputs))
        for old in kept
    )
