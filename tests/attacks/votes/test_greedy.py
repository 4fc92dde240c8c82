"""ARC's greedy step on linear members, and the walk by it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_members import Member, by_brute_force, equal_members, grey, unequal_members

import nversion as nv
from nversion.attacks.ball import norms
from nversion.attacks.votes.greedy import LinearMembers, arc, greedy_step
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.search import Search
from nversion.models import frozen


def drawn(seed: int, rows: int = 4, members: int = 3) -> LinearMembers:
    draws = torch.Generator().manual_seed(seed)
    normals = torch.randn(rows, members, 1, 4, 6, generator=draws)
    values = -torch.rand(rows, members, generator=draws)
    return LinearMembers(values, normals, torch.ones(members) / members, torch.full((rows,), 9))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 10_000), size=st.floats(0.05, 2.0))
def test_a_step_has_its_size_and_lets_no_weight_back(norm: str, seed: int, size: float) -> None:
    members = drawn(seed)
    reach = torch.full((4,), size)
    changes = greedy_step(members, reach, norm)
    sizes = norms(changes, norm)
    assert bool((((sizes / size - 1).abs() < 1e-4) | (sizes == 0)).all())
    after = members.values + (members.normals * changes[:, None]).flatten(2).sum(dim=2)
    assert bool(((after > 0).sum(dim=1) >= (members.values > 0).sum(dim=1)).all())


def test_members_at_right_angles_are_all_brought_over() -> None:
    normals = torch.eye(24)[:3].view(1, 3, 1, 4, 6)
    members = LinearMembers(
        torch.tensor([[-0.1, -0.2, -0.3]]), normals, torch.ones(3) / 3, torch.tensor([3])
    )
    changes = greedy_step(members, torch.tensor([0.8]), "l2")
    after = members.values + (normals * changes[:, None]).flatten(2).sum(dim=2)
    assert bool((after > 0).all())
    one = greedy_step(
        LinearMembers(members.values, normals, members.weights, torch.tensor([1])),
        torch.tensor([0.8]),
        "l2",
    )
    # No more than are needed, and the nearest of them.
    assert torch.allclose(one.flatten()[:3], torch.tensor([0.8, 0.0, 0.0]))


@pytest.mark.parametrize(("norm", "slack"), [("l2", 1.03), ("linf", 1.14)])
def test_the_walk_comes_near_the_exact_distance(norm: str, slack: float) -> None:
    some: list[tuple[list[Member], int]] = [
        (equal_members(3, 0.3), 2),
        (equal_members(5, 0.3), 3),
        (unequal_members(5, seed=3), 3),
    ]
    for members, flips in some:
        images, labels = grey()
        program = nv.Program(members, "majority")
        with frozen(program):
            search = Search(Members(program, images), images, labels, norm)
            search.begin("arc")
            arc(search, torch.arange(1), 60, torch.full((1, 2), flips), verdict=False)
        exact = by_brute_force(members, flips, "inf" if norm == "linf" else "2")
        found = float(search.distances(False))
        assert exact * 0.9999 <= found <= exact * slack
