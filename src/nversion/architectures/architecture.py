"""An architecture: an ordered list of layers, written as text, that builds a torch model.

The text is all there is to it: it knows nothing of weights, of the images' shape or of the number
of classes until :meth:`Architecture.check` or :meth:`Architecture.build` is told them. The
classifying layer (dense, one unit per class, no activation) is added by itself, and so is a
flatten in front of the first dense layer where the text has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torch import nn

from nversion.architectures.layers import Conv, Cost, Dense, Flatten, Layer, Shape, shape_text
from nversion.architectures.text import LAYER_LIMIT, layer_text, read_layers, write_layers
from nversion.arguments import typed
from nversion.errors import ArchitectureError, InputError
from nversion.files import write_text as write_file
from nversion.modes import ordinary
from nversion.randomness import generator
from nversion.reading import read_text

__all__ = ["PARAMETER_LIMIT", "VALUE_LIMIT", "Architecture", "LayerRow"]

PARAMETER_LIMIT = 100_000_000
"""The most parameters an architecture may have: 400 MB of float32 weights."""

VALUE_LIMIT = 10_000_000
"""The most values one layer may give for one image."""


@dataclass(frozen=True)
class LayerRow:
    """One line of an architecture's table: a layer with its output shape and its cost.

    Attributes:
        number: the layer's place in the text, from 1; None for the layers that are added.
        text: the layer's text.
        output_shape: (channels, height, width), or (features,) once flattened.
        parameters: trainable parameters.
        multiply_adds: multiply-adds for one image.
    """

    number: int | None
    text: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class _Step:
    """One layer in its place: the shape that reaches it, the shape it gives, and its cost."""

    number: int | None
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    cost: Cost


@dataclass(frozen=True)
class Architecture:
    """An ordered list of layers. Two architectures are equal if their layers are.

    Attributes:
        layers: the layers in order, at least one, without the classifying layer.
        name: what the architecture is called, if anything; it does not count for equality.
    """

    layers: tuple[Layer, ...]
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        wrong = [layer for layer in layers if not isinstance(layer, Layer)]
        if wrong:
            raise InputError(f"layers must be layers, such as Conv(8, 'relu'), not {wrong[0]!r}")
        if not 1 <= len(layers) <= LAYER_LIMIT:
            raise ArchitectureError(
                f"an architecture has between 1 and {LAYER_LIMIT} layers, not {len(layers)}"
            )
        object.__setattr__(self, "layers", layers)

    @classmethod
    @typed
    def parse(cls, text: str, source: str = "<text>", name: str | None = None) -> Architecture:
        """Read an architecture from its text.

        Args:
            text: one layer a line, as the documentation of the text format says.
            source: where the text comes from, for error messages.
            name: what the architecture shall be called.

        Raises:
            ArchitectureError: some lines cannot be read; the message names the source and, for
                every such line, its number, its text and the accepted forms.
        """
        return cls(read_layers(text, source), name)

    @classmethod
    @typed
    def load(cls, path: str | Path, name: str | None = None) -> Architecture:
        """Read an architecture from a file; it is called `name`, or like the file without suffix.

        Raises:
            ArchitectureError: the file is missing, is not text, or cannot be read as above.
        """
        path = Path(path)
        text = read_text(path, error=ArchitectureError)
        return cls.parse(text, str(path), path.stem if name is None else name)

    def to_text(self) -> str:
        """Return the canonical text; parsing it gives an equal architecture."""
        return write_layers(self.layers)

    def save(self, path: str | Path) -> None:
        """Write the canonical text to `path`, atomically."""
        write_file(Path(path), self.to_text())

    def named(self, name: str) -> Architecture:
        """Return the same layers under another name."""
        return replace(self, name=name)

    @property
    def kind(self) -> Literal["convolutional", "dense"]:
        """Whether the architecture has convolutions or not."""
        return "convolutional" if any(isinstance(x, Conv) for x in self.layers) else "dense"

    def shapes(self, shape: Sequence[int]) -> list[Shape]:
        """Return the shape after each of `layers` for images of `shape`.

        Args:
            shape: (channels, height, width) of the images.

        Raises:
            ArchitectureError: a layer does not fit; the message names it and what reached it.
            InputError: `shape` is not three positive whole numbers.
        """
        # The classifying layer takes any input, so two classes stand for any number.
        steps = self._steps(shape, classes=2)
        return [step.output_shape for step in steps if step.number is not None]

    def check(self, shape: Sequence[int], classes: int) -> None:
        """Raise unless the architecture fits images of `shape` and is of a sane size.

        Args:
            shape: (channels, height, width) of the images.
            classes: how many classes, at least 2.

        Raises:
            ArchitectureError: a layer does not fit, or the architecture is larger than
                `PARAMETER_LIMIT` or `VALUE_LIMIT` allow; the message names the layer.
            InputError: `shape` or `classes` make no sense.
        """
        for _ in self._steps(shape, classes):
            pass

    def table(self, shape: Sequence[int], classes: int) -> list[LayerRow]:
        """Return one row per layer, with the layers that :meth:`build` adds.

        Args and errors: as in :meth:`check`.
        """
        return [
            LayerRow(step.number, layer_text(step.layer), step.output_shape, *step.cost)
            for step in self._steps(shape, classes)
        ]

    def parameters(self, shape: Sequence[int], classes: int) -> int:
        """Return the number of trainable parameters; arguments and errors as in :meth:`check`."""
        return sum(step.cost.parameters for step in self._steps(shape, classes))

    def multiply_adds(self, shape: Sequence[int], classes: int) -> int:
        """Return the multiply-adds for one image: those of convolutions and dense layers.

        Args and errors: as in :meth:`check`.
        """
        return sum(step.cost.multiply_adds for step in self._steps(shape, classes))

    @typed
    @ordinary()
    def build(self, shape: Sequence[int], classes: int, seed: int = 0) -> nn.Sequential:
        """Return a model of plain torch modules, float32 on the CPU, in training mode.

        It maps images [count, channels, height, width] to logits [count, classes]. Weights are
        Glorot-uniform and biases zero, drawn from a generator that depends on the seed and the
        text only: the same architecture, shape and seed give the same bits.

        Args:
            shape: (channels, height, width) of the images.
            classes: how many classes, at least 2.
            seed: the seed of the weights.

        Raises:
            ArchitectureError, InputError: as in :meth:`check`, before anything is allocated.
        """
        steps = list(self._steps(shape, classes))
        random = generator("architecture", self.to_text(), seed)
        return nn.Sequential(
            *(module for step in steps for module in step.layer.modules(step.input_shape, random))
        )

    def _steps(self, shape: Sequence[int], classes: int) -> Iterator[_Step]:
        """Yield the layers in their places, with the added ones, checking each."""
        current = _checked_shape(shape)
        if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
            raise InputError(f"classes must be a whole number of at least 2, not {classes!r}")
        parameters = 0
        numbered: list[tuple[int | None, Layer]] = list(enumerate(self.layers, start=1))
        for number, layer in [*numbered, (None, Dense(classes, "linear"))]:
            if isinstance(layer, Dense) and len(current) > 1:
                yield (step := self._step(None, Flatten(), current))
                current = step.output_shape
            step = self._step(number, layer, current)
            parameters += step.cost.parameters
            if parameters > PARAMETER_LIMIT:
                raise self._misfit(
                    number,
                    layer,
                    current,
                    f"it brings the parameters to {parameters:,}; "
                    f"{PARAMETER_LIMIT:,} are the limit",
                )
            yield step
            current = step.output_shape

    def _step(self, number: int | None, layer: Layer, shape: Shape) -> _Step:
        try:
            output = layer.output_shape(shape)
        except ArchitectureError as error:
            raise self._misfit(number, layer, shape, str(error)) from None
        values = 1
        for length in output:
            values *= length
        if values > VALUE_LIMIT:
            reason = f"it gives {values:,} values per image; {VALUE_LIMIT:,} are the limit"
            raise self._misfit(number, layer, shape, reason)
        return _Step(number, layer, shape, output, layer.cost(shape))

    def _misfit(
        self, number: int | None, layer: Layer, shape: Shape, reason: str
    ) -> ArchitectureError:
        place = "the classifying layer" if number is None else f"layer {number}"
        return ArchitectureError(
            f"{self.name or 'architecture'}: {place} ({layer_text(layer)}) cannot take its input "
            f"of {shape_text(shape)}: {reason}"
        )


def _checked_shape(shape: Sequence[int]) -> Shape:
    values = tuple(shape)
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    if len(values) != 3 or not whole or min(values) < 1:
        raise InputError(
            f"shape must be (channels, height, width), three positive whole numbers, not {values!r}"
        )
    return values
