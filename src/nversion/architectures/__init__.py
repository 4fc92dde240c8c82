"""Architectures as text: parse, write, check, build, generate, and the catalogue of 100."""

from nversion.architectures.architecture import (
    PARAMETER_LIMIT,
    VALUE_LIMIT,
    Architecture,
    LayerRow,
)
from nversion.architectures.generator import generate
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
from nversion.architectures.shipped import (
    CATALOGUE_CLASSES,
    CATALOGUE_COUNT,
    CATALOGUE_SEED,
    CATALOGUE_SHAPE,
    catalogue,
    find_architecture,
    student_architecture,
)

__all__ = [
    "ACTIVATIONS",
    "CATALOGUE_CLASSES",
    "CATALOGUE_COUNT",
    "CATALOGUE_SEED",
    "CATALOGUE_SHAPE",
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
    "catalogue",
    "find_architecture",
    "generate",
    "shape_text",
    "student_architecture",
]
