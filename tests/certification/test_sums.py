"""Weighted sums of rows: the plain formula, whatever way is taken."""

from __future__ import annotations

import pytest
import torch

from nversion.certification.sums import FEW, weighted_sums


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("size", [1, FEW - 1, FEW, 300])
def test_are_what_the_formula_says(count: int, rows: int, size: int) -> None:
    generator = torch.Generator().manual_seed(count + 10 * rows + 100 * size)
    a = torch.randn(count, rows, size, generator=generator, dtype=torch.float64)
    weights = torch.randn(count, size, generator=generator, dtype=torch.float64)
    found = weighted_sums(a, weights)
    assert found.shape == (count, rows)
    assert torch.allclose(found, (a * weights[:, None]).sum(dim=2), atol=1e-12)


def test_of_an_image_do_not_hang_on_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 7, 500, generator=generator)
    weights = torch.randn(4, 500, generator=generator)
    assert torch.equal(weighted_sums(a, weights)[2:3], weighted_sums(a[2:3], weights[2:3]))
