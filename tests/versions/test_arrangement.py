from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nversion as nv
from nversion.versions.arrangement import _Dropout, arranged

TEXTS = {
    "pooled": "conv 4 relu\nconv 6 relu\nmaxpooling\nflatten\ndense 12 relu",
    "activation between": "conv 4 relu\nmaxpooling\nflatten\ndense 9 tanh",
    "tanh before the pool": "conv 4 tanh\nmaxpooling\ndense 5 relu",
    "no dense layer of its own": "conv 3 relu\nmaxpooling\nflatten",
    "batch norm": "conv 4 linear\nbatchnorm\naveragepooling\nflatten\ndense 7 relu",
    "dense": "flatten\ndense 12 relu",
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_twin_has_the_same_outputs_and_gradients(text: str, channels: int) -> None:
    shape = (channels, 10, 9)
    model = nv.Architecture.parse(text).build(shape, 4, seed=3)
    plain = copy.deepcopy(model)
    images = torch.rand(5, *shape, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0])
    model.train()
    plain.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nn.functional.cross_entropy(plain(images), labels).backward()
    with arranged(model, shape, torch.Generator()) as twin:
        optimiser = torch.optim.SGD(twin.parameters(), lr=1.0)
        nn.functional.cross_entropy(twin(images), labels).backward()
        optimiser.step()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        moved = before[name] - ours.detach()
        assert theirs.grad is not None
        assert ours.is_contiguous()
        torch.testing.assert_close(moved, theirs.grad, rtol=1e-3, atol=1e-5)


def test_an_error_inside_leaves_the_model_as_it_was() -> None:
    model = nv.Architecture.parse(TEXTS["pooled"]).build((1, 8, 8), 4, seed=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), arranged(model, (1, 8, 8), torch.Generator()):
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_the_rate(rate: float) -> None:
    values = torch.ones(300, 5, 7, 9).contiguous(memory_format=torch.channels_last)
    dropped = _Dropout(rate, torch.Generator().manual_seed(2))(values)
    assert float((dropped == 0).double().mean()) == pytest.approx(rate, abs=0.005)
    assert float(dropped.double().mean()) == pytest.approx(1.0, abs=0.02)
    assert set(dropped.unique().tolist()) <= {0.0, float(dropped.max())}
    per_place = (dropped == 0).double().mean(dim=0)
    assert float(per_place.std()) < 0.04


def test_dropout_passes_gradients_where_it_passes_values() -> None:
    values = torch.rand(6, 4, requires_grad=True)
    dropped = _Dropout(0.5, torch.Generator().manual_seed(2))(values)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values, dropped)
