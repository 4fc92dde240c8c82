"""Adversarial attacks: one file per attack over one small base.

``nversion.attacks.create("gradient")`` gives a configured attack; calling it with a model, images
and labels gives an :class:`AttackResult`. ``nversion.attacks.names()`` lists all of them.
"""

from __future__ import annotations

from nversion.attacks import (  # noqa: F401  (registers the attacks)
    adef,
    apgd,
    auto,
    carlini_wagner,
    deepfool,
    fab,
    foolbox_bridge,
    gradient,
    hop_skip_jump,
    lbfgs,
    newtonfool,
    random_pgd,
    saliency_map,
    slsqp,
    square,
)
from nversion.attacks.base import Attack, AttackResult, is_adversarial, margins, success_margin
from nversion.attacks.registry import create, names

__all__ = [
    "Attack",
    "AttackResult",
    "create",
    "is_adversarial",
    "margins",
    "names",
    "success_margin",
]
