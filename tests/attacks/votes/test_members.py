"""What attacks ask of a vote's members."""

from __future__ import annotations

import torch
from linear_members import unequal_members
from torch import Tensor, nn

import nversion as nv
from nversion.attacks.votes.members import Members
from nversion.models import frozen


def small(seed: int) -> nn.Module:
    draws = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 2 * 4, 3))
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=draws) * 0.6)
    return model.eval()


def test_slopes_are_each_members_own() -> None:
    models = [small(seed) for seed in range(3)]
    images = torch.rand(5, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    program = nv.Program(models)

    def leads(logits: Tensor, rows: Tensor) -> Tensor:
        return logits[:, :, 1] - logits[:, :, 0] + 0 * rows[:, None]

    classes = torch.tensor([[0, 2], [1, 2], [2, 0], [0, 1], [1, 0]])
    with frozen(program):
        members = Members(program, images)
        logits, values, gradients = members.slopes(images, leads)
        jacobian = members.jacobian(images, classes)
        alone = members.slopes(images[2:3], leads)[2]
    assert values.shape == (5, 3)
    assert gradients.shape == (5, 3, 2, 4, 6)
    assert jacobian.shape == (5, 3, 2, 48)
    assert torch.equal(alone[0], gradients[2])
    assert (members.forwards, members.backwards) == (11, 16)
    for place, model in enumerate(models):
        leaf = images.clone().requires_grad_(True)
        own = model(leaf).log_softmax(dim=1)
        assert torch.allclose(logits[:, place].log_softmax(dim=1), own, atol=1e-5)
        (gradient,) = torch.autograd.grad((own[:, 1] - own[:, 0]).sum(), leaf, retain_graph=True)
        assert torch.allclose(gradients[:, place], gradient, atol=1e-5)
        leads_between = [own.gather(1, classes[:, k : k + 1]).sum() for k in (0, 1)]
        (between,) = torch.autograd.grad(leads_between[0] - leads_between[1], leaf)
        difference = (jacobian[:, place, 0] - jacobian[:, place, 1]).view_as(images)
        assert torch.allclose(difference, between, atol=1e-5)


def test_a_program_of_one_has_slopes_too() -> None:
    program = nv.Program(unequal_members(1))
    images = torch.rand(2, 1, 4, 6)
    with frozen(program):
        _, values, gradients = Members(program, images).slopes(images, lambda z, rows: z[:, :, 0])
    assert values.shape == (2, 1)
    assert gradients.shape == (2, 1, 1, 4, 6)
