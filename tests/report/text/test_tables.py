from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nversion.report.text import tables
from nversion.report.text.table_three import distillation_table
from nversion.report.text.tables import Table
from nversion.study.sections import Results


def cells(table: Table, name: str) -> dict[str, Any]:
    """Return the row with a heading as a mapping from column titles (with group) to cells."""
    (row,) = [row for row in table.rows if row[0].text == name]
    titles = [f"{c.group} {c.title}".strip() for c in table.columns]
    return dict(zip(titles, row, strict=True))


def test_every_row_is_as_wide_as_its_table(example: Callable[..., dict[str, Any]]) -> None:
    for results in (example(10), example(3, dataset="digits"), example(3, failed=2)):
        for make in (
            tables.attack_table,
            distillation_table,
            tables.frequency_table,
            tables.version_table,
            tables.stage_table,
        ):
            table = make(Results.of(results))
            assert {len(row) for row in table.rows} == {len(table.columns)}
            assert sum(span for _, span in table.groups) in (0, len(table.columns))


def test_attack_table_shows_the_results_numbers(example: Callable[..., dict[str, Any]]) -> None:
    results = example(10)
    table = tables.attack_table(Results.of(results))
    for attack in results["attacks"]:
        row = cells(table, attack["name"])
        assert row["Tried"].text == f"{attack['tried']:,}"
        assert row["Succeeded"].text == f"{attack['succeeded']:,}"
        assert row["Effectiveness"].text == f"{100 * attack['effectiveness']:.2f}\u202f%"
        assert row["Effectiveness"].bar == attack["effectiveness"]
        shown = float(row["Median over the successes L2"].text)
        assert shown == pytest.approx(attack["median_l2"], rel=0.006)
    left_out = cells(table, "slsqp")["In the set"]
    assert (left_out.text, left_out.note) == (
        "no",
        "median structural similarity 0.61 is below 0.85",
    )
    assert cells(table, "lbfgs")["In the set"].text == "yes"


def test_the_study_of_2019_stands_beside_ours_on_its_dataset_only(
    example: Callable[..., dict[str, Any]],
) -> None:
    attacks = tables.attack_table(Results.of(example(3)))
    assert cells(attacks, "gradient")["Study of 2019"].text == "73.23\u202f%"
    assert cells(attacks, "slsqp")["Study of 2019"].text == "left out"
    networks = distillation_table(Results.of(example(3)))
    assert cells(networks, "Test accuracy")["Study of 2019 Student"].text == "98.68\u202f%"
    assert cells(networks, "Certified radius, L2")["Study of 2019 Baseline"].text == "0.0743"
    assert cells(networks, "Rank")["Study of 2019 Student"].text == "4th of 101"
    for make in (tables.attack_table, distillation_table):
        table = make(Results.of(example(3, dataset="digits")))
        assert not any(column.muted for column in table.columns)
        assert not any("2019" in note for note in table.notes)


def test_distillation_table_weighs_the_differences(example: Callable[..., dict[str, Any]]) -> None:
    results = example(10)
    table = distillation_table(Results.of(results))
    row = cells(table, "Test accuracy")
    assert (row["Baseline"].text, row["Student"].text) == ("99.16\u202f%", "98.68\u202f%")
    assert row["Difference"].text == "\u22120.48 points"
    assert (row["In favour of"].text, row["In favour of"].note) == ("not known", "no interval")
    # How many test images the adversarial ones come from is not in results of older studies.
    older = cells(table, "Adversarial accuracy")["In favour of"]
    assert (older.text, older.note) == ("not known", "no interval")
    radius = cells(table, "Certified radius, L1")
    assert radius["Student"].text == f"{results['distillation']['student']['certified_l1']:.4f}"
    assert (radius["In favour of"].text, radius["In favour of"].note) == ("student", "")
    assert any("interval bounds: sound, loose" in note for note in table.notes)


def test_distillation_table_shows_what_the_study_found(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(10)
    rows = [
        ("test_accuracy", "level", -0.01, 0.002, 0.4),
        ("certified_l1", "better", 0.01, 0.03, 0.0004),
        ("adversarial_accuracy", "worse", -0.02, -0.001, 0.03),
        ("adversarial_frequency", "too few", -0.1, 0.2, None),
    ]
    results["distillation"]["comparison"] = [
        {
            **dict.fromkeys(("student", "baseline", "difference", "p_value"), 0.1),
            "measure": measure,
            "name": measure,
            "verdict": verdict,
            "low": low,
            "high": high,
            "p_holm": p,
            "images": 8,
            "source_images": 4,
        }
        for measure, verdict, low, high, p in rows
    ]
    table = distillation_table(Results.of(results))
    found = {
        name: (row["Difference"].note, row["In favour of"].text, row["In favour of"].note)
        for name in ("Test accuracy", "Certified radius, L1", "Adversarial accuracy")
        for row in [cells(table, name)]
    }
    assert found == {
        "Test accuracy": ("\u22121.00 to +0.20", "not distinguishable", "p\u00a0=\u00a00.400"),
        "Certified radius, L1": ("+0.0100 to +0.0300", "student", "p\u00a0<\u00a00.001"),
        "Adversarial accuracy": ("\u22122.00 to \u22120.10", "baseline", "p\u00a0=\u00a00.030"),
    }
    few = cells(table, "Adversarial frequency")["In favour of"]
    assert (few.text, few.note) == ("too few to say", "4 images")
    # The frequency is the one measure where less is better: the student's is the higher one.
    results["distillation"]["comparison"][-1] |= {"verdict": "worse", "p_holm": 0.01}
    frequency = cells(distillation_table(Results.of(results)), "Adversarial frequency")
    assert frequency["In favour of"].text == "baseline"


def test_equal_measures_favour_neither(example: Callable[..., dict[str, Any]]) -> None:
    results = example(3)
    results["distillation"]["student"]["adversarial_frequency"] = 0.9433
    row = cells(distillation_table(Results.of(results)), "Adversarial frequency")
    assert (row["Difference"].text, row["In favour of"].text) == ("0.00 points", "neither")


def test_radii_of_valid_images_get_rows_of_their_own(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    results["certification"]["norms_box"] = results["certification"]["norms"]
    table = distillation_table(Results.of(results))
    notes = [row[0].note for row in table.rows if row[0].text == "Certified radius, L1"]
    assert notes == ["mean over 200 images", "valid images only"]


def test_random_target_radii_are_named_and_stand_beside_those_of_2019(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    norms = results["certification"]["norms"]
    results["certification"] |= {
        "random_target_images": 50,
        "norms_random_target": {
            norm: {
                who: {"mean": 0.2, "radii": [0.2], "untargeted_mean": 0.15}
                for who in ("baseline", "student")
            }
            for norm in norms
        },
    }
    table = distillation_table(Results.of(results))
    found = [row for row in table.rows if row[0].text == "Certified radius, L2"]
    assert [row[0].note for row in found] == [
        "mean over 200 images",
        "against one random target; mean over 50 images; untargeted there 0.150 and 0.150",
    ]
    assert [row[-1].text for row in found] == ["\u2013", "0.0809"]
    assert any("shifted to [-0.5, 0.5]" in note for note in table.notes)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("interval", "interval bounds: sound, loose"),
        ("linear", "backward linear relaxation: sound"),
        ("my own", "my own"),
    ],
)
def test_certificate_method_is_named(method: str, name: str) -> None:
    assert tables.certificate_method(Results.of({"certification": {"method": method}})) == name


def test_failed_versions_keep_their_row_and_say_why(example: Callable[..., dict[str, Any]]) -> None:
    table = tables.version_table(Results.of(example(4, failed=1)))
    assert len(table.rows) == 4
    last = table.rows[-1]
    assert last[0].note == "failed: the loss is NaN"
    assert {cell.text for cell in last[4:9]} == {"\u2013"}


def test_architectures_fit_in_a_line() -> None:
    text = "conv, 8, relu\r\n# a remark\nmaxpooling # two\n\nflattern"
    assert tables.one_line(text) == "conv 8 relu · maxpooling · flattern"


def test_stage_table_adds_up(example: Callable[..., dict[str, Any]]) -> None:
    table = tables.stage_table(Results.of(example(3)))
    assert table.rows[-1][1].text == "10\u202fmin 10\u202fs"
    assert sum(row[2].bar for row in table.rows[:-1]) == pytest.approx(1.0)


def test_table_three_says_how_many_radii_its_means_leave_out(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    norms = results["certification"]["norms"]
    norms["2"]["student"] |= {"radii": [0.5, None, None, 0.25], "infinite": 2}
    table = distillation_table(Results.of(results))
    assert cells(table, "Certified radius, L2")["Measure"].note.endswith(
        "; infinite and left out: 2 of 4 of the student"
    )
    assert "infinite" not in cells(table, "Certified radius, L1")["Measure"].note
