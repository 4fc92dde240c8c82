from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.criteria import margins
from nversion.attacks.votes.objectives import OBJECTIVES, kth_margin, leads_to


def drawn(seed: int = 0, scale: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(6, 5, 4, generator=draws, dtype=torch.float64)
    return logits, torch.randint(4, (6,), generator=draws), torch.full((5,), 0.2).double()


def test_the_means_are_the_votes_own_margins() -> None:
    logits, labels, shares = drawn()
    softmax = logits.softmax(dim=2).mean(dim=1)
    value = OBJECTIVES["log-mean-softmax"](logits, labels, shares)
    assert torch.allclose(value, margins(softmax.log(), labels))
    value = OBJECTIVES["mean-logit"](logits, labels, shares)
    assert torch.allclose(value, margins(logits.mean(dim=1), labels))


def test_certain_members_keep_their_gradients() -> None:
    logits, labels, shares = drawn(scale=1.0)
    logits = logits.scatter_add(
        2, labels[:, None, None].expand(-1, 5, 1), 200 + 0 * logits[..., :1]
    )
    for name, objective in OBJECTIVES.items():
        leaf = logits.clone().requires_grad_(True)
        objective(leaf, labels, shares).sum().backward()
        assert bool((leaf.grad.abs().sum(dim=(1, 2)) > 1e-3).all()), name


def test_the_kth_margin_is_above_zero_where_k_members_vote_for_a_rival() -> None:
    logits, labels, _ = drawn(seed=3)
    for k in range(1, 6):
        needed = torch.full((6, 4), k)
        votes = torch.nn.functional.one_hot(logits.argmax(dim=2), 4).sum(dim=1)
        most = votes.scatter(1, labels[:, None], -1).amax(dim=1)
        sizes = torch.ones_like(logits)
        plain = kth_margin(logits, labels, sizes, needed, smooth=False)
        assert torch.equal(plain > 0, most >= k)
        smooth = kth_margin(logits, labels, sizes, needed)
        assert bool((smooth <= plain + 1e-9).all())


def test_leads_are_over_the_largest_other() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0]])
    assert leads_to(logits).tolist() == [[1.0, -2.0, -1.0]]


def test_reweighted_weighs_members_by_what_the_mean_softmax_owes_them() -> None:
    """MORA's weights are the slopes of the mean softmax's margin in each member's rival logit."""
    logits, labels, shares = drawn(seed=7)
    own = labels[:, None, None].expand(-1, 5, 1)
    logits = logits.scatter(2, own, logits.amax(dim=2, keepdim=True) + 0.5)
    rivals = logits.softmax(dim=2).mean(dim=1).scatter(1, labels[:, None], -1.0).argmax(dim=1)
    slopes = []
    for name in ("reweighted", "log-mean-softmax"):
        leaf = logits.clone().requires_grad_(True)
        OBJECTIVES[name](leaf, labels, shares).sum().backward()
        slopes.append(leaf.grad.gather(2, rivals[:, None, None].expand(-1, 5, 1)).squeeze(2))
    exact = slopes[1] / slopes[1].sum(dim=1, keepdim=True)
    assert torch.allclose(slopes[0], exact, rtol=1e-6, atol=1e-9)


def test_reweighted_follows_the_mean_softmax_where_no_member_is_certain() -> None:
    logits, labels, shares = drawn(seed=5, scale=0.2)
    logits = logits.scatter_add(2, labels[:, None, None].expand(-1, 5, 1), 1 + 0 * logits[..., :1])
    gradients = []
    for name in ("reweighted", "log-mean-softmax"):
        leaf = logits.clone().requires_grad_(True)
        OBJECTIVES[name](leaf, labels, shares).sum().backward()
        gradients.append(leaf.grad.flatten(1))
    cosines = torch.nn.functional.cosine_similarity(*gradients)
    assert bool((cosines > 0.9).all())
