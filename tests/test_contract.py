"""What a version may give: one tensor or several, in other shapes, one number, other precisions."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError, OutputsWarning
from nversion.recognition import reader

IMAGES = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
Named = collections.namedtuple("Named", "logits hidden")


@dataclasses.dataclass
class Answer:
    logits: Tensor
    loss: Tensor | None = None


class Ends(nn.Module):
    def __init__(self, step: object, outputs: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.line = nn.Linear(16, outputs)
        self.step = step

    def forward(self, images: Tensor) -> object:
        return self.step(self.line(images.flatten(1)))  # type: ignore[operator]


PLAIN = Ends(lambda z: z).eval()
SEVERAL = {
    "dict": lambda z: {"logits": z, "hidden": z * 2},
    "dict in another order": lambda z: {"hidden": z * 2, "logits": z},
    "tuple of one": lambda z: (z,),
    "named tuple": lambda z: Named(z, z * 2),
    "dataclass": lambda z: Answer(z),
    "only floats": lambda z: {"classes": z.argmax(1), "scores": z},
    "maps of one": lambda z: z.reshape(-1, 3, 1, 1),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_the_output_that_is_meant_is_found(kind: str) -> None:
    model = Ends(SEVERAL[kind]).train()  # it is put into evaluation mode, and back
    verdict, plain = nv.Program([model]).vote(IMAGES), nv.Program([PLAIN]).vote(IMAGES)
    assert torch.equal(verdict.probabilities, plain.probabilities)
    assert model.training
    labels = plain.labels
    attack = nv.attacks.create("gradient-sign", steps=20)
    assert torch.equal(attack(model, IMAGES, labels).l2, attack(PLAIN, IMAGES, labels).l2)
    if kind != "only floats":  # whose argmax is a step that depends on the images as well
        radii = nv.certify(model.eval(), IMAGES, labels, norm=2)
        assert torch.allclose(radii, nv.certify(PLAIN, IMAGES, labels, norm=2))


def test_an_output_is_said() -> None:
    model = Ends(lambda z: {"a": z, "b": z * -1.0})
    with pytest.raises(InputError, match="a dict of a, b"):
        nv.Program([model]).vote(IMAGES)
    said = nv.as_logits(model, "logits", key="a")
    labels = nv.Program([PLAIN]).vote(IMAGES).labels
    assert torch.equal(nv.Program([said]).vote(IMAGES).labels, labels)
    assert torch.allclose(
        nv.certify(said, IMAGES, labels, norm=2), nv.certify(PLAIN, IMAGES, labels, norm=2)
    )
    with pytest.raises(InputError, match="gives no output 'c', but a dict of a, b"):
        nv.Program([nv.as_logits(model, "logits", key="c")]).vote(IMAGES)


@pytest.mark.parametrize("flat", [True, False])
def test_one_logit_is_that_of_the_second_of_two_classes(flat: bool) -> None:
    model = Ends(lambda z: z[:, 0] if flat else z, outputs=1).eval()
    with torch.no_grad():
        expected = (model.line(IMAGES.flatten(1))[:, 0] > 0).long()
    with pytest.warns(OutputsWarning, match=r'for the logit .*outputs="logit"'):
        verdict = nv.Program([model]).vote(IMAGES)
    assert torch.equal(verdict.labels, expected)
    said = nv.as_logits(model, "logit")
    assert reader(said, (1, 4, 4)) is said
    if not flat:
        radii = nv.certify(said, IMAGES, expected, norm=2)
        weight = model.line.weight
        exact = (model.line(IMAGES.flatten(1))[:, 0] / weight.norm()).abs()
        plain = nv.certify(said, IMAGES, expected, norm=2, box=None)
        assert torch.allclose(plain, exact, rtol=1e-3)
        assert bool((radii >= plain * 0.999).all())
    with pytest.warns(OutputsWarning):
        found = nv.attacks.create("deepfool")(model, IMAGES, expected)
    assert bool(found.success.any())


def test_one_probability_is_that_of_the_second_of_two_classes() -> None:
    model = Ends(lambda z: z.sigmoid(), outputs=1).eval()
    with pytest.warns(OutputsWarning, match=r'for the probability .*outputs="probabilities"'):
        verdict = nv.Program([model]).vote(IMAGES)
    with torch.no_grad():
        chance = model(IMAGES)
    assert torch.allclose(verdict.probabilities[:, 1:], chance, atol=1e-6)
    with pytest.raises(InputError, match="to give one logit for each image"):
        nv.Program([nv.as_logits(PLAIN, "logit")]).vote(IMAGES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_versions_of_several_precisions_vote(dtype: torch.dtype) -> None:
    model = Ends(lambda z: {"logits": z}).to(dtype)
    verdict = nv.Program([model, PLAIN]).vote(IMAGES)
    assert verdict.probabilities.dtype == torch.float32
    assert float((verdict.labels == nv.Program([PLAIN]).vote(IMAGES).labels).float().mean()) > 0.5
    one = nv.as_logits(Ends(lambda z: z, outputs=1).to(dtype), "logit")
    assert nv.Program([one]).vote(IMAGES).probabilities.shape == (6, 2)


def test_a_batch_of_a_fixed_size_is_told() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return PLAIN(images)[:1]  # type: ignore[no-any-return]

    with pytest.raises(InputError, match=r"\[1, 3\] for \d images"):
        nv.Program([Fixed()]).vote(IMAGES)


def test_results_are_summed_up_in_a_line() -> None:
    pytest.importorskip("pandas")
    program = nv.Program([PLAIN, Ends(lambda z: -z)], "majority")
    verdict = program.vote(IMAGES)
    assert repr(verdict) == f"Verdict({verdict.summary()})"
    assert verdict.summary(LABELS).startswith("6 images, ")
    assert "% right, 6 abstentions" in verdict.summary(LABELS)
    table = verdict.to_pandas(["a", "b", "c"])
    assert list(table.columns) == ["label", "agreement", "p(a)", "p(b)", "p(c)"]
    assert table["label"].isna().all()
    labels = nv.Program([PLAIN]).vote(IMAGES).labels
    found = nv.attacks.create("deepfool")(PLAIN, IMAGES, labels)
    assert repr(found).startswith("AttackResult(6 of 6 images changed class, median L2 ")
    table = found.to_pandas(["a", "b", "c"])
    assert len(table) == 6
    assert table["success"].all()
    assert set(table["prediction"]) <= {"a", "b", "c"}
    with pytest.raises(InputError, match="2 class names for 3 classes"):
        verdict.to_pandas(["a", "b"])
