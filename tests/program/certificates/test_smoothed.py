import torch
from torch import nn

from nversion.certification.smoothing import certify_smoothing
from nversion.program import Program, certify_program_smoothing


class HalfSpace(nn.Module):
    """Class 1 where the first pixel exceeds an edge, class 0 elsewhere; class 2 never."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = nn.Parameter(torch.tensor(edge))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        signed = images[:, 0, 0, 0] - self.edge
        return torch.stack([-signed, signed, torch.full_like(signed, -9.0)], dim=1) * 50


def image(pixel: float) -> torch.Tensor:
    return torch.full((1, 1, 2, 2), pixel)


def test_a_vote_of_half_spaces_has_the_middle_edge() -> None:
    program = Program([HalfSpace(0.1), HalfSpace(0.4), HalfSpace(0.45)], "majority")
    images = torch.cat([image(p) for p in (0.0, 0.2, 0.9)])
    found = certify_program_smoothing(program, images, 0.25, samples=3000, seed=1)
    distances = torch.tensor([0.4, 0.2, 0.5])
    assert found.labels.tolist() == [0, 0, 1]
    assert bool((found.radii <= distances).all())
    assert bool((found.radii >= 0.8 * distances).all())


def test_an_abstention_is_not_certified() -> None:
    program = Program([HalfSpace(-5.0), HalfSpace(5.0)], "majority")
    found = certify_program_smoothing(program, image(0.5), 0.25, samples=500)
    assert found.labels.tolist() == [-1]
    assert found.radii.tolist() == [0.0]
    assert certify_smoothing(program, image(0.5), 0.25, samples=500).labels.tolist() != [-1]


def test_a_soft_vote_is_smoothed_as_the_model_that_it_is() -> None:
    program = Program([HalfSpace(0.1), HalfSpace(0.4)])
    images = torch.cat([image(0.2), image(0.7)])
    voted = certify_program_smoothing(program, images, 0.3, samples=500, seed=2)
    as_model = certify_smoothing(program, images, 0.3, samples=500, seed=2)
    assert torch.equal(voted.labels, as_model.labels)
    assert torch.equal(voted.radii, as_model.radii)
