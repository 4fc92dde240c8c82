"""Certified and attacked radii of the same images in the report: their table and their sentence."""

from __future__ import annotations

from nversion.report.text.tables import Cell, Column, Table
from nversion.report.text.twins import certified_radii
from nversion.report.values import count, decimal, join, norm_name, plural
from nversion.study.sections import AttackedDistances, RadiiSummary, Results

__all__ = ["certified_and_attacked", "gap_table"]


def gap_table(results: Results) -> Table | None:
    """Return the certified radius beside the smallest change found, by norm and network."""
    known = results.certification
    if not known.attacked:
        return None
    body = [
        [
            Cell(f"{norm_name(norm)}, {who}"),
            Cell(decimal(radii.median)),
            Cell(decimal(attacked.median)),
            Cell(decimal(attacked.gap)),
            Cell(count(attacked.nearer)),
        ]
        for norm, who, radii, attacked in _rows(results)
    ]
    columns = [
        Column("Norm and network", numeric=False),
        Column("certified radius", group="Median"),
        Column("smallest change found", group="Median"),
        Column("the one over the other", group="Median"),
        Column("Nearer than certified"),
    ]
    notes = [
        f"On the first {count(known.images)} test images, the same for both. The smallest change "
        "is what `nearest` found, the best attacks of the norm one after another, within "
        f"{count(known.attack_passes)} passes through the network for an image; it leaves a valid "
        f"image, and the certificate holds {_where(results)}. Both are 0 where the image is "
        "misclassified; the last of the medians is that of the images where both are more than 0 "
        "and finite. The nearest error lies between the two.",
    ]
    return Table("", "Certified and attacked", columns, body, notes)


def certified_and_attacked(results: Results) -> str | None:
    """Say how student and baseline compare, and how far attacks are from certificates."""
    parts = [certified_radii(results), _gap(results)]
    return " ".join(part for part in parts if part) or None


def _gap(results: Results) -> str | None:
    rows = _rows(results)
    said = [
        f"{decimal(attacked.gap)} for the {who} in {norm_name(norm)}"
        for norm, who, _, attacked in rows
        if attacked.gap is not None
    ]
    if not said:
        return None
    nearer = sum(attacked.nearer for *_, attacked in rows)
    check = (
        f"On {plural(nearer, 'image')} an attack came nearer than the certificate, which is wrong "
        "there."
        if nearer
        else "No attack came nearer than a certificate."
    )
    return (
        "The smallest change that attacks found on the same images, over the certified radius, is "
        f"by the median {join(said)}; the nearest error lies between the two. {check}"
    )


def _rows(results: Results) -> list[tuple[str, str, RadiiSummary, AttackedDistances]]:
    """Return norm, network, radii and attacked distances, norm by norm."""
    known = results.certification
    found = []
    for norm, attacked in sorted(known.attacked.items()):
        pair = known.norms.get(norm) or known.norms_box.get(norm)
        if pair is not None:
            found.append((norm, "student", pair.student, attacked.student))
            found.append((norm, "baseline", pair.baseline, attacked.baseline))
    return found


def _where(results: Results) -> str:
    if results.certification.norms:
        return "in the whole ball, invalid images included"
    return "for valid images"
