import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.program.certificates.radius_search import search_radius


@settings(deadline=None, max_examples=50)
@given(
    root=st.floats(1e-3, 50),
    start=st.floats(1e-3, 50),
    steepness=st.floats(0.2, 20),
)
def test_it_finds_the_root_from_below(root: float, start: float, steepness: float) -> None:
    def lead(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        return -torch.tanh(steepness * (radii / root - 1))

    one = torch.ones(1, dtype=torch.float64)
    at_zero = lead(torch.tensor([0]), one * 0)
    found = search_radius(lead, at_zero, one * start, one * 100).item()
    assert found <= root
    if 0.1 < start / root < 30:
        assert found >= 0.97 * root


def test_many_images_each_have_their_own() -> None:
    roots = torch.tensor([0.01, 0.3, 2.0, 9.0], dtype=torch.float64)
    tried = []

    def lead(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        tried.append(len(rows))
        return 1 - (radii / roots[rows]).square()

    one = torch.ones(4, dtype=torch.float64)
    found = search_radius(lead, one, one * 0.3, one * 100)
    torch.testing.assert_close(found, roots, rtol=4e-3, atol=0)
    assert bool((found <= roots).all())
    assert tried[-1] < 4


def test_signs_alone_are_bisected() -> None:
    def lead(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        return torch.where(radii < 0.7, 1.0, -1.0)

    one = torch.ones(1, dtype=torch.float64)
    found = search_radius(lead, one, one * 0.1, one * 100).item()
    assert 0.695 < found < 0.7


def test_the_ends_are_kept() -> None:
    def always(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        assert bool((radii <= 5).all())
        return torch.ones_like(radii)

    def never(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        return torch.full_like(radii, -1.0)

    one = torch.ones(1, dtype=torch.float64)
    assert search_radius(always, one, one, one * 5).item() == 5
    assert search_radius(never, one, one, one * 5).item() == 0
    assert search_radius(always, -one, one, one * 5).item() == 0
    assert search_radius(never, one, one, one * 5, proven=one * 0.4).item() == pytest.approx(0.4)
    assert search_radius(always, -one, one, one * 5, proven=one * 0.4).item() == 0


def test_nan_is_no_lead() -> None:
    def broken(rows: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
        return torch.full_like(radii, torch.nan)

    one = torch.ones(1, dtype=torch.float64)
    assert search_radius(broken, one, one, one * 5).item() == 0
