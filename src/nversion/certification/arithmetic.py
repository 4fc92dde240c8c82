"""How exactly a model computes: the unit roundoffs of its precision and of the kernels it runs on.

What is counted (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, sections 2 and 3):

- every result is rounded to the model's precision;
- a sum of n products is added up in any order, blocked or not, in float32, or in float64 for
  float64 models. For float16 and bfloat16 this is what PyTorch's kernels do, unless its switches
  for reduced-precision reductions are on and the model is on a graphics card: then the additions
  are counted in the model's own precision;
- where TF32 or bfloat16 products are allowed for float32 models (PyTorch's switches for matrix
  products and for cuDNN), both factors of each product are rounded to it;
- what underflow can take off a result.

What is excluded: algorithms that do not add up the products themselves, such as Winograd's and
FFT convolutions. cuDNN may choose them on a graphics card; on the processor PyTorch takes oneDNN's
direct convolutions or matrix products, and NNPACK's Winograd only where oneDNN is switched off.
"""

from __future__ import annotations

import dataclasses

import torch

__all__ = ["OVERFLOW", "SINGLE", "Arithmetic"]

OVERFLOW = 1e15
"""What stands for an error that cannot be bounded: no lead is larger, and no product overflows."""

PRODUCTS = {"highest": 0.0, "high": 2.0**-11, "medium": 2.0**-8}
"""Unit roundoff of factors by PyTorch's precision for matrix products of float32."""


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """The unit roundoffs of a model's evaluation.

    Attributes:
        unit: of each result.
        sums: of each addition within a sum of products.
        factors: of both factors of each product; 0 where they are taken as they are.
        smallest: what underflow can take off a result.
        largest: the largest number.
    """

    unit: float
    sums: float
    factors: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, dtype: torch.dtype, device: torch.device) -> Arithmetic:
        """Return how a model of some precision computes on a device, by PyTorch's switches."""
        info = torch.finfo(dtype)
        unit = info.eps / 2
        sums = unit if dtype == torch.float64 else 2.0**-24
        factors = 0.0
        card = device.type != "cpu"
        if dtype == torch.float32:
            factors = PRODUCTS[torch.get_float32_matmul_precision()]
            if card and (torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32):
                factors = max(factors, PRODUCTS["high"])
        elif card and _reduced(dtype):
            sums = unit
        half = dtype == torch.float16
        smallest = info.smallest_normal * (info.eps if half else 1.0)
        return cls(unit, sums, factors, smallest, info.max)

    def additions(self, count: int) -> float:
        """Return what so many additions in a row are off by, as a share of what they have in hand.

        That is, of the largest absolute value of the sum of any of the terms.
        """
        share = count * self.sums
        return share / (1.0 - share) if share < 0.5 else OVERFLOW

    def results(self, count: int) -> float:
        """Return what so many roundings of results and products are off by, as a share of them."""
        return 1.01 * count * max(self.unit, self.sums) + 2.1 * self.factors


SINGLE = Arithmetic.of(torch.float32, torch.device("cpu"))


def _reduced(dtype: torch.dtype) -> bool:
    matmul = torch.backends.cuda.matmul
    if dtype == torch.float16:
        return bool(matmul.allow_fp16_reduced_precision_reduction)
    return bool(matmul.allow_bf16_reduced_precision_reduction)
