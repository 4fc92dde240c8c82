"""The threat models that a study's numbers answer."""

from __future__ import annotations

from nversion.evidence.record import ThreatModel

__all__ = ["TRANSFERRED", "certified", "norm_of", "on_versions", "smallest", "within"]

TRANSFERRED = ThreatModel(
    id="transferred",
    knowledge="one version at a time, in full; nothing of the vote, nor of what is judged here",
    goal="any class but the label, of the version that the image was made against",
)
"""Images that were made against single versions, and are shown to something else."""

FULL = "everything: weights, voter, gradients"


def norm_of(norm: str | int | None) -> str:
    """Return a norm as evidence writes it: "l2" for "2" or "l2"."""
    return f"l{str(norm).lower().removeprefix('l')}"


def smallest(norm: str) -> ThreatModel:
    """Return the attacker who looks for the smallest change in a norm, and knows all."""
    return ThreatModel(id=f"{norm}-smallest", norm=norm, knowledge=FULL)


def on_versions(norm: str) -> ThreatModel:
    """Return the attacker of each single version, who looks for a small change in a norm."""
    return ThreatModel(
        id=f"{norm}-on-versions", norm=norm, knowledge=f"{FULL}, of one version at a time"
    )


def within(norm: str, radius: float) -> ThreatModel:
    """Return the attacker who may change an image by at most a radius, and knows all."""
    return ThreatModel(id=f"{norm}@{radius:g}", norm=norm, radius=radius, knowledge=FULL)


def certified(norm: str, domain: str) -> ThreatModel:
    """Return what a certificate is against: any change in a ball, or in a ball of valid images."""
    whole = domain == "ball"
    return ThreatModel(
        id=f"{norm}-certified-{domain}",
        norm=norm,
        lowest=None if whole else 0.0,
        highest=None if whole else 1.0,
        knowledge="anything: the proof is of all changes, whoever finds them",
    )
