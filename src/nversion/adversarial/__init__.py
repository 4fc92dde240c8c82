"""The adversarial set: build, filter, save, load and show it.

An :class:`AttackRun` holds what one attack did to one version. :func:`build` makes the
:class:`AdversarialSet` of all runs, leaving out what the :class:`PerceptibilityRule` says a person
would see; :func:`summarise` makes the table of attacks, :func:`transfer_matrix` compares versions,
and the functions of :mod:`nversion.adversarial.pictures` draw. An :class:`AttackExample` is what
all attacks made of one image; a :class:`SetRecord` says how a set came about. :func:`try_attacks`
is for one image by itself.
"""

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.adversarial.build import build
from nversion.adversarial.example import AttackExample, choose_example
from nversion.adversarial.intervals import wilson_interval, wilson_of_share
from nversion.adversarial.perceptibility import Medians, PerceptibilityRule
from nversion.adversarial.pictures import attack_grid, comparison, contact_sheet
from nversion.adversarial.record import SetRecord
from nversion.adversarial.runs import AttackRun, StoredRuns, draw_indices
from nversion.adversarial.similarity import structural_similarity
from nversion.adversarial.summary import AttackSummary, AttackTally, summarise
from nversion.adversarial.transfer import Transfer, transfer_matrix
from nversion.adversarial.trial import AttackTrial, ImageTrial, Measured, try_attacks, try_program

__all__ = [
    "AdversarialSet",
    "AttackExample",
    "AttackRun",
    "AttackSummary",
    "AttackTally",
    "AttackTrial",
    "ImageTrial",
    "Measured",
    "Medians",
    "PerceptibilityRule",
    "SetRecord",
    "StoredRuns",
    "Transfer",
    "attack_grid",
    "build",
    "choose_example",
    "comparison",
    "contact_sheet",
    "draw_indices",
    "structural_similarity",
    "summarise",
    "transfer_matrix",
    "try_attacks",
    "try_program",
    "wilson_interval",
    "wilson_of_share",
]
