"""What each attack is: its type, by what it knows of the network, and one line on what it does.

The types follow what an attacker must know, as surveys of the field part them (Akhtar & Mian,
"Threat of adversarial attacks on deep learning in computer vision", IEEE Access 2018; Brendel,
Rauber & Bethge, "Decision-based adversarial attacks", ICLR 2018): derivatives, scores, or
decisions alone. Gradient attacks that look along one direction stand apart from those that take
many steps, and a deformation moves pixels where the others change their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from nversion.attacks import registry
from nversion.errors import NVersionError

__all__ = ["KINDS", "About", "Kind", "about", "paper_of"]

Kind: TypeAlias = Literal[
    "one gradient", "iterated gradient", "deformation", "score", "decision", "several", "other"
]

KINDS: Mapping[Kind, str] = MappingProxyType(
    {
        "one gradient": "along one gradient",
        "iterated gradient": "many steps, each by a new gradient",
        "deformation": "pixels moved, by gradients",
        "score": "the network's scores alone, no gradients",
        "decision": "the network's labels alone",
        "several": "several of these, the best result of each image",
        "other": "not described here",
    }
)
"""The types of attack, and each in a few words."""


@dataclass(frozen=True)
class About:
    """An attack's type, and one line on what it does; "" where nothing is known of it."""

    kind: Kind
    line: str


_ABOUT: Mapping[str, About] = MappingProxyType(
    {
        "gradient": About("one gradient", "goes along the gradient of the loss until it fools"),
        "gradient-sign": About(
            "one gradient", "changes every pixel by the same amount, along the gradient's signs"
        ),
        "deepfool": About(
            "iterated gradient",
            "steps onto the nearest boundary of a linear model, again and again",
        ),
        "adef": About("deformation", "shifts pixels by a smooth field, and changes no value"),
        "saliency-map": About(
            "iterated gradient", "changes one pixel at a time: the one that matters most"
        ),
        "carlini-wagner": About(
            "iterated gradient", "minimises the size of the change plus a penalty for not fooling"
        ),
        "newtonfool": About(
            "iterated gradient", "lowers the label's probability by Newton's steps"
        ),
        "random-pgd": About(
            "iterated gradient", "climbs the loss from a random start, within a bound on each pixel"
        ),
        "slsqp": About(
            "iterated gradient",
            "minimises the change by quadratic programs, fooling as a constraint",
        ),
        "lbfgs": About(
            "iterated gradient", "minimises change and loss together by a quasi-Newton method"
        ),
        "apgd": About(
            "iterated gradient", "climbs the loss with momentum, and sets its own step size"
        ),
        "apgd-l1": About(
            "iterated gradient", "climbs the loss by sparse steps, within a bound on their sum"
        ),
        "apgd-targeted": About(
            "iterated gradient", "climbs towards each of the likeliest other classes in turn"
        ),
        "fab": About(
            "iterated gradient", "projects onto linear models of the boundary, drawn to the image"
        ),
        "alma": About(
            "iterated gradient",
            "minimises the change, with a multiplier that learns to make it fool",
        ),
        "square": About("score", "puts squares at random places, and keeps those that help"),
        "auto": About("several", "four attacks that fail in different ways, one after another"),
        "ddn": About(
            "iterated gradient", "climbs the loss while the size of the change shrinks and grows"
        ),
        "ead": About(
            "iterated gradient", "minimises a sum of two norms, so that few pixels change"
        ),
        "fmn": About(
            "iterated gradient", "follows the gradient within a bound that adapts to the boundary"
        ),
        "hop-skip-jump": About(
            "decision", "feels its way along the boundary by asking for labels only"
        ),
        "nearest": About("several", "the best attacks of a norm, and the nearest result of them"),
        "pdgd": About(
            "iterated gradient", "minimises the change, and learns its multiplier by gradients too"
        ),
        "pdpgd": About(
            "iterated gradient", "the same for norms without a gradient, by proximal steps"
        ),
        "sigma-zero": About("iterated gradient", "minimises a smooth count of the changed pixels"),
        "slp": About(
            "iterated gradient", "solves linear programs of the margin for the smallest change"
        ),
        "superdeepfool": About(
            "iterated gradient", "DeepFool, turned to meet the boundary at a right angle"
        ),
    }
)


def about(name: str) -> About:
    """Return what is known of an attack, by its name; an unknown one is of the type "other"."""
    return _ABOUT.get(name, About("other", ""))


def paper_of(name: str) -> str:
    """Return where an attack was published, in short; "" where nobody knows, or not here."""
    try:
        return registry.create(name).paper
    except NVersionError:
        return ""
