import torch

from nversion.attacks.linearised import Linearised


def test_nearest_point_of_the_half_space():
    # 0.3 + 2 x + y >= 1.5 around (0, 0): along (2, 1), 1.2 / 5 of it; the second has enough.
    model = Linearised(torch.zeros(2, 2), torch.tensor([0.3, 2.0]), torch.tensor([[2.0, 1.0]] * 2))
    nearest = model.nearest(torch.tensor([1.5, 1.5]))
    assert torch.allclose(nearest, torch.tensor([[0.48, 0.24], [0.0, 0.0]]))
    # Out of reach within the box: as far as it allows.
    assert torch.equal(model.nearest(torch.tensor([9.0, 9.0])), torch.ones(2, 2))


def test_means_settle_on_a_kink():
    # The margin min(x - 0.5, y - 0.2) is a kink at the nearest solution, (0.5, 0.2).
    originals = torch.zeros(1, 2)
    slopes = torch.eye(2)
    model = Linearised(originals, torch.tensor([-0.5]), slopes[:1])
    points = originals
    for step in range(200):
        points = points + (model.nearest(torch.zeros(1)) - points) / (1 + step)
        values = points - torch.tensor([[0.5, 0.2]])
        lower = values.argmin(dim=1)
        model.add(points - originals, values.amin(dim=1), slopes[lower])
    assert torch.allclose(points, torch.tensor([[0.5, 0.2]]), atol=0.05)
