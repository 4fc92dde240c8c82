"""Attacks on votes: the worst of all means against a program, by :func:`attack_program`.

One file a method over what they share: the members as attacks see them (:mod:`.members`), what may
be driven (:mod:`.objectives`), the nearest points so far (:mod:`.search`).
"""

from nversion.attacks.votes.diversity import DiversityBudget, cosine_needed, diversity_budget
from nversion.attacks.votes.methods import house_attacks
from nversion.attacks.votes.program import ProgramAttackResult, attack_program

__all__ = [
    "DiversityBudget",
    "ProgramAttackResult",
    "attack_program",
    "cosine_needed",
    "diversity_budget",
    "house_attacks",
]
