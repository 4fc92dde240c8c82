from __future__ import annotations

import copy

from nversion.report.text.votes import certified_votes, vote_table
from nversion.study.sections import Results

CERTIFIED = {
    "voter": "mean-softmax",
    "domain": "ball",
    "images": 8,
    "versions": ["a", "b"],
    "versions_of": 3,
    "norms": {
        "2": {
            "program": {"mean": 0.05, "median": 0.05, "radii": [0.05]},
            "best_version": {"name": "b", "mean": 0.06, "median": 0.06, "radii": [0.06]},
            "median_version_mean": 0.045,
            "share_above_best": 0.25,
            "share_above_median": 0.75,
        }
    },
}
RESULTS = {"certification": {"program": CERTIFIED}}


def test_the_vote_stands_beside_its_versions() -> None:
    table = vote_table(Results.of(RESULTS))
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == [
        "L2", "0.0500", "0.0600", "0.0450", "b", "25\u202f%", "75\u202f%",
    ]  # fmt: skip
    assert "first 8 test images" in table.notes[0]
    assert "the first 2 of 3 versions vote, by mean-softmax" in table.notes[0]
    assert certified_votes(Results.of(RESULTS)) == (
        "The vote is certified in L2 to 0.0500 on average, the best version to 0.0600, "
        "the median version to 0.0450."
    )


def test_without_certified_votes_there_is_nothing() -> None:
    for results in ({}, {"certification": {"program": None}}):
        assert vote_table(Results.of(results)) is None
        assert certified_votes(Results.of(results)) is None


def test_infinite_radii_are_counted_beside_the_means() -> None:
    results = copy.deepcopy(RESULTS)
    vote = results["certification"]["program"]["norms"]["2"]["program"]
    vote |= {"radii": [0.05, None, None], "infinite": 2}
    table = vote_table(Results.of(results))
    assert table is not None
    assert table.notes[1] == "Infinite radii are not in the means: 2 of 3 of the vote in L2."
    said = certified_votes(Results.of(results))
    assert said is not None
    assert said.endswith("the median version to 0.0450, infinite radii left out.")
