"""Adversarial attacks: one file per attack over one small base.

``nversion.attacks.create("gradient")`` gives a configured attack; calling it with a model, images
and labels gives an :class:`AttackResult`. ``nversion.attacks.names()`` lists all of them.
"""

from __future__ import annotations

from nversion.attacks import (  # noqa: F401  (registers the attacks)
    adef,
    alma,
    apgd,
    apgd_l1,
    apgd_targeted,
    auto,
    carlini_wagner,
    ddn,
    deepfool,
    ead,
    fab,
    fmn,
    foolbox_bridge,
    gradient,
    hop_skip_jump,
    lbfgs,
    nearest_of_all,
    newtonfool,
    primal_dual,
    random_pgd,
    saliency_map,
    sigma_zero,
    slp,
    slsqp,
    square,
    super_deepfool,
)
from nversion.attacks.base import Attack, AttackResult
from nversion.attacks.criteria import is_adversarial, margins, success_margin
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
