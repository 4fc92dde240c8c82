"""Which tests take long: `make test-fast` leaves them out, `make test` runs them all.

Long is what trains networks, attacks or certifies many images, draws figures, runs commands or
starts processes. Most tests of some folders do, so these count as long but for the files that are
named; a test elsewhere carries the mark itself, or its file stands here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "tests"

LONG = (
    "adversarial",
    "attacks",
    "certification",
    "cli",
    "distillation",
    "formats",
    "program",
    "replication",
    "report",
    "study",
    "versions",
    "workers",
    "architectures/test_generator.py",
    "evidence/test_forms.py",
    "objectives/test_objectives.py",
    "test_attacks_guide.py",
    "test_contract.py",
    "test_example_plugin.py",
    "test_plugins_guide.py",
    "test_guides.py",
    "test_own_networks_guide.py",
    "test_modes.py",
    "test_reliability_guide.py",
    "test_site.py",
    "test_users_networks.py",
)
"""Folders and files whose tests take long."""

SHORT = (
    "formats/test_feed.py",
    "attacks/test_ball.py",
    "attacks/test_criteria.py",
    "attacks/test_decoupled.py",
    "attacks/test_gradient.py",
    "attacks/test_linearised.py",
    "attacks/test_nearest.py",
    "attacks/test_noise.py",
    "attacks/test_oracle.py",
    "attacks/test_projections.py",
    "attacks/test_proximal.py",
    "attacks/test_quasi_newton.py",
    "attacks/test_ray.py",
    "attacks/test_verification.py",
    "attacks/votes/test_objectives.py",
    "certification/bounds/test_sampling.py",
    "certification/bounds/test_window_differences.py",
    "certification/lipschitz/test_linear_maps.py",
    "certification/lipschitz/test_stretches.py",
    "certification/network/test_tracing.py",
    "certification/radius/test_secant.py",
    "certification/test_ball.py",
    "certification/test_rounding.py",
    "cli/test_printing.py",
    "program/test_abstention.py",
    "program/test_accuracy.py",
    "program/test_coverage.py",
    "program/test_injection.py",
    "program/test_model.py",
    "program/certificates/test_leads.py",
    "program/certificates/test_radius_search.py",
    "replication/test_contrasts.py",
    "study/test_closure.py",
    "study/test_config.py",
    "study/test_ledger.py",
    "study/test_questions.py",
    "study/test_source.py",
    "versions/test_arrangement.py",
    "versions/test_recipe.py",
)
"""Files in those folders whose tests do not."""


def takes_long(path: Path) -> bool:
    """Whether a file's tests take long because of where it stands."""
    long, short = ([TESTS / name for name in names] for names in (LONG, SHORT))
    return bool({path, *path.parents}.intersection(long)) and path not in short


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the files whose tests are left out: that alone would take half as long."""
    left_out = "not long" in config.option.markexpr
    return (
        True
        if left_out and collection_path.suffix == ".py" and takes_long(collection_path)
        else None
    )


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take long."""
    for item in items:
        if takes_long(item.path):
            item.add_marker(pytest.mark.long)
