from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from nversion.adversarial import AttackRun, PerceptibilityRule, build
from nversion.errors import InputError


def test_only_successes_are_in_with_their_provenance(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run("a", seed=0), make_run("b", seed=1)]
    adversarial = build(runs)
    assert len(adversarial) == 8
    for row in range(8):
        run = runs[int(adversarial.version_ids[row])]
        where = int((run.test_indices == adversarial.test_indices[row]).nonzero())
        assert bool(run.success[where])
        assert torch.equal(adversarial.images[row], run.images[where])
        for name in ("labels", "predictions", "l0", "l1", "l2", "linf", "ssim"):
            assert getattr(adversarial, name)[row] == getattr(run, name)[where]
    assert adversarial.options == {"gradient": runs[0].options}


def test_the_order_is_version_attack_test_index(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run(v, attack) for attack in ("x", "y") for v in ("b", "a")]
    adversarial = build(runs)
    assert adversarial.versions == ("b", "a")
    keys = torch.stack([adversarial.version_ids, adversarial.attack_ids, adversarial.test_indices])
    assert keys.T.tolist() == sorted(keys.T.tolist())
    assert build([runs[0], runs[2], runs[1], runs[3]]).digest == adversarial.digest


def test_visible_attacks_are_left_out(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run(attack="weak"), make_run(attack="strong", strength=0.9)]
    assert build(runs).attacks == ("weak",)
    assert build(runs).per_attack == {"weak": 4}
    assert build(runs, PerceptibilityRule(None, None)).attacks == ("weak", "strong")


def test_versions_without_an_image_are_named(make_run: Callable[..., AttackRun]) -> None:
    failed = dataclasses.replace(make_run("b"), success=torch.zeros(6, dtype=torch.bool))
    assert build([make_run("a"), failed]).per_version == {"a": 4, "b": 0}


def test_a_set_may_be_empty(make_run: Callable[..., AttackRun]) -> None:
    adversarial = build([make_run(attack="strong", strength=0.9)])
    assert len(adversarial) == 0
    assert adversarial.attacks == ()
    assert adversarial.images.shape == (0, 1, 5, 4)
    assert adversarial.versions == ("a",)


def test_no_runs_are_refused() -> None:
    with pytest.raises(InputError, match="no attack runs"):
        build([])


def test_a_set_is_storable_if_each_of_its_runs_is(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run("a", storable=True), make_run("a", "random-pgd", storable=True)]
    assert build(runs).storable
    assert not build([*runs, make_run("b")]).storable
    # A run that is left out does not count.
    visible = make_run("b", "saliency-map", strength=0.9)
    assert build([*runs, visible]).storable
    assert build(runs).digest != build([make_run("a"), make_run("a", "random-pgd")]).digest
