"""What a module does besides its class's own ``forward``: hooks, and calls that were replaced.

Whoever reads a model by its structure (the layouts of :mod:`nversion.batches` by the layers' names,
certificates by the steps that ``torch.fx`` writes down) does not see any of it, so both ask here.
What torch itself keeps in hooks to make a layer's weights (weight and spectral norm of the older
kind, pruning) is no addition: it acts on the weights alone, which are read as they are. So are
parametrisations, and hooks that only gradients go through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

__all__ = ["additions", "own_class"]

CALLS = ("__call__", "_call_impl", "_wrapped_call_impl")
"""The methods of ``nn.Module`` through which a module is called."""

TENSORS = (Tensor, nn.Parameter, nn.UninitializedParameter, nn.UninitializedBuffer)
"""Classes derived from these may answer torch's functions in their own way."""

GLOBAL_HOOKS = ("_global_forward_pre_hooks", "_global_forward_hooks")


def own_class(module: nn.Module) -> type:
    """Return the class that `module` was made of, before any of its weights was parametrised."""
    found: type = parametrize.type_before_parametrizations(module)
    return found


def additions(model: nn.Module) -> Iterator[str]:
    """Yield in words what `model` and its parts do besides their classes' own ``forward``."""
    if any(getattr(torch_module, hooks, None) for hooks in GLOBAL_HOOKS):
        yield "a forward hook that is registered for all modules"
    for name, module in model.named_modules():
        where = f"module '{name}' ({type(module).__name__})" if name else type(model).__name__
        for what in _additions(module):
            yield f"{what} {where}"


def _additions(module: nn.Module) -> Iterator[str]:
    if not all(_makes_weights(hook) for hook in module._forward_pre_hooks.values()):
        yield "a forward pre-hook on"
    if module._forward_hooks:
        yield "a forward hook on"
    # Called in the forward pass, with what the module returned; full ones are not.
    if module._backward_hooks and module._is_full_backward_hook is False:
        yield "a hook by register_backward_hook (register_full_backward_hook will do) on"
    if "forward" in vars(module):
        yield "a forward put in place of its class's own on"
    tensors = [*module._parameters.values(), *module._buffers.values()]
    if any(type(tensor) not in TENSORS for tensor in tensors if tensor is not None):
        yield "a tensor of a class of its own in"
    replaced = (getattr(type(module), call) is not getattr(nn.Module, call) for call in CALLS)
    if any(replaced) or any(call in vars(module) for call in CALLS):
        yield "a __call__ of its own of"


def _makes_weights(hook: Any) -> bool:
    """Tell whether a pre-hook is torch's own and does no more than set a layer's weights."""
    if isinstance(hook, BasePruningMethod):
        kind, base = type(hook), BasePruningMethod
        return kind.__call__ is base.__call__ and kind.apply_mask is base.apply_mask
    return type(hook) in (WeightNorm, SpectralNorm)
