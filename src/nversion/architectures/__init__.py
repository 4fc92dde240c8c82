"""Architectures as text: parse, write, check, build, generate, and the catalogue of 100."""

from nversion.architectures.architecture import (
    PARAMETER_LIMIT,
    VALUE_LIMIT,
    Architecture,
    LayerRow,
)
from nversion.architectures.layers import (
    ACTIVATIONS,
    AveragePooling,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling,
    Shape,
    shape_text,
)

__all__ = [
    "ACTIVATIONS",
    "PARAMETER_LIMIT",
    "VALUE_LIMIT",
    "Architecture",
    "AveragePooling",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerRow",
    "MaxPooling",
    "Shape",
    "shape_text",
]
