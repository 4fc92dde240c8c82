from __future__ import annotations

import copy

from nversion.report.text.gap import certified_and_attacked, gap_table
from nversion.study.sections import Results

RESULTS = {
    "certification": {
        "images": 4,
        "norms": {
            "1": {
                "student": {"mean": 0.2, "median": 0.25, "radii": [0.25]},
                "baseline": {"mean": 0.1, "median": 0.125, "radii": [0.125]},
            }
        },
        "attacked": {
            "1": {
                "student": {"median": 6.0, "distances": [6.0], "gap": 24.0, "nearer": 0},
                "baseline": {"median": 5.0, "distances": [5.0], "gap": 40.0, "nearer": 0},
            }
        },
        "attack_passes": 600,
    }
}


def test_attacks_stand_beside_certificates() -> None:
    table = gap_table(Results.of(RESULTS))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["L1, student", "0.250", "6.00", "24.0", "0"],
        ["L1, baseline", "0.125", "5.00", "40.0", "0"],
    ]
    assert "first 4 test images" in table.notes[0]
    assert "600 passes" in table.notes[0]
    said = certified_and_attacked(Results.of(RESULTS))
    assert said is not None
    assert said.startswith("The student's mean certified radius, against the baseline's, is larger")
    assert "by the median 24.0 for the student in L1 and 40.0 for the baseline in L1" in said
    assert said.endswith("No attack came nearer than a certificate.")


def test_an_attack_within_a_certificate_is_said() -> None:
    results = copy.deepcopy(RESULTS)
    results["certification"]["attacked"]["1"]["student"]["nearer"] = 2  # type: ignore[index]
    said = certified_and_attacked(Results.of(results))
    assert said is not None
    assert "On 2 images an attack came nearer than the certificate, which is wrong there." in said


def test_results_without_attacks_say_what_they_said() -> None:
    results = copy.deepcopy(RESULTS)
    del results["certification"]["attacked"]
    assert gap_table(Results.of(results)) is None
    said = certified_and_attacked(Results.of(results))
    assert said is not None
    assert "attack" not in said
    assert certified_and_attacked(Results.of({})) is None


def test_where_only_valid_images_are_certified_these_are_compared() -> None:
    results = copy.deepcopy(RESULTS)
    results["certification"]["norms_box"] = results["certification"].pop("norms")
    table = gap_table(Results.of(results))
    assert table is not None
    assert "the certificate holds for valid images" in table.notes[0]
