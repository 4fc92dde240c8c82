"""The text format: what is read, what is written, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.architectures import (
    ACTIVATIONS,
    Architecture,
    AveragePooling,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling,
)
from nversion.architectures.text import LAYER_LIMIT, PROBLEM_LIMIT, layer_text, read_layers
from nversion.errors import ArchitectureError

activations = st.sampled_from(ACTIVATIONS)
sizes = st.integers(1, 2000)
convs = st.integers(1, 40).flatmap(
    lambda kernel: st.builds(
        Conv,
        sizes,
        activations,
        st.just(kernel),
        stride=st.integers(1, 9),
        padding=st.integers(0, kernel - 1),
    )
)
layers: st.SearchStrategy[Layer] = st.one_of(
    convs,
    st.builds(MaxPooling, sizes),
    st.builds(AveragePooling, sizes),
    st.builds(Dropout, st.floats(0, 1, exclude_max=True)),
    st.builds(Flatten),
    st.builds(Dense, sizes, activations),
    st.builds(BatchNorm),
)


@given(st.lists(layers, min_size=1, max_size=30))
@settings(deadline=None, max_examples=200)
def test_what_is_written_reads_back_equal(some: list[Layer]) -> None:
    architecture = Architecture(tuple(some))
    again = Architecture.parse(architecture.to_text())
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert again.to_text() == architecture.to_text()


@given(
    st.lists(layers, min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([",", ", ", " ", "\t", " ,  "]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_separators_capitals_line_ends_and_comments_do_not_matter(
    some: list[Layer], end: str, separator: str, capitals: bool, comments: bool, last: bool
) -> None:
    lines = [layer_text(layer).replace(", ", separator) for layer in some]
    if capitals:
        lines = [line.upper() for line in lines]
    if comments:
        lines = ["# dense, 9, relu", *(f"  {line}  # conv" for line in lines), ""]
    text = end.join(lines) + (end if last else "")
    assert read_layers(text, "t") == tuple(some)


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused_and_never_crashes(text: str) -> None:
    try:
        found = read_layers(text, "t")
    except ArchitectureError as error:
        assert str(error).startswith("t")  # noqa: PT017
    else:
        assert found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv, 8, relu", Conv(8, "relu")),
        ("conv 8 relu 5", Conv(8, "relu", 5)),
        ("conv, 8, relu, 5, padding=2, stride=2", Conv(8, "relu", 5, stride=2, padding=2)),
        ("conv, 8, relu, padding = 1", Conv(8, "relu", padding=1)),
        ("conv, filters=8, activation=relu, kernel=5", Conv(8, "relu", 5)),
        ("conv,8,LEAKY-RELU,", Conv(8, "leaky-relu")),
        ("maxpooling", MaxPooling(2)),
        ("MaxPooling, 3", MaxPooling(3)),
        ("averagepooling 4", AveragePooling(4)),
        ("dropout, .25", Dropout(0.25)),
        ("dropout, 0", Dropout(0.0)),
        ("dropout, 1e-1", Dropout(0.1)),
        ("flattern", Flatten()),
        ("flatten", Flatten()),
        ("dense, 516, relu", Dense(516, "relu")),
        ("dense, 7, linear # no activation", Dense(7, "linear")),
        ("batchnorm", BatchNorm()),
        ("\ufeffflatten", Flatten()),
    ],
)
def test_forms_of_one_line(text: str, expected: Layer) -> None:
    assert read_layers(text, "t") == (expected,)


def test_old_quirks_load() -> None:
    text = "conv, 12, relu\r\ndropout, 0.3\r\nmaxpooling\r\nflattern\r\ndense, 77, relu"
    assert read_layers(text, "old.txt") == (
        Conv(12, "relu"),
        Dropout(0.3),
        MaxPooling(),
        Flatten(),
        Dense(77, "relu"),
    )


def test_canonical_text_leaves_out_what_is_default() -> None:
    some = (
        Conv(8, "relu"),
        Conv(8, "relu", 5, stride=2),
        Conv(8, "tanh", padding=1),
        MaxPooling(),
        MaxPooling(3),
        Dropout(0.25),
        Flatten(),
        Dense(16, "linear"),
    )
    assert Architecture(some).to_text() == (
        "conv, 8, relu\nconv, 8, relu, 5, stride=2\nconv, 8, tanh, padding=1\n"
        "maxpooling\nmaxpooling, 3\ndropout, 0.25\nflatten\ndense, 16, linear\n"
    )


CONV = "conv, FILTERS, ACTIVATION[, KERNEL][, stride=STRIDE][, padding=PADDING]"


@pytest.mark.parametrize(
    ("line", "reason", "accepted"),
    [
        ("conv, x, relu", "filters must be a whole number, not 'x'", CONV),
        ("conv, 8.0, relu", "filters must be a whole number, not '8.0'", CONV),
        ("conv, 0, relu", "filters must lie between 1 and 1,000,000, not 0", CONV),
        ("conv, -1, relu", "filters must lie between 1 and 1,000,000, not -1", CONV),
        ("conv", "filters and activation missing", CONV),
        ("conv, 8", "activation missing", CONV),
        ("conv, 8, 3", "activation must be one of relu, leaky-relu, sigmoid", CONV),
        ("conv, 8, relu, 3, 1", "'1' is one parameter too many", CONV),
        ("conv, 8, padding=1, relu", "'relu' must come before the name=value words", CONV),
        ("conv, 8, relu, size=2", "it has no parameter 'size'", CONV),
        ("conv, 8, relu, filters=9", "filters is given twice", CONV),
        ("conv, 8, relu, stride=0", "stride must lie between 1 and", CONV),
        ("conv, 8, relu, padding=3", "padding must be below the kernel (3), not 3", CONV),
        ("maxpooling, 0", "size must lie between 1 and 1,000,000, not 0", "maxpooling[, SIZE]"),
        ("maxpooling, 2, 2", "'2' is one parameter too many", "maxpooling[, SIZE]"),
        ("averagepooling, two", "size must be a whole number", "averagepooling[, SIZE]"),
        ("dropout", "rate missing", "dropout, RATE"),
        ("dropout, 1", "rate must be at least 0 and below 1, not 1", "dropout, RATE"),
        ("dropout, -0.5", "rate must be at least 0 and below 1, not -0.5", "dropout, RATE"),
        ("dropout, nan", "rate must be a number, not 'nan'", "dropout, RATE"),
        ("dropout, 25%", "rate must be a number, not '25%'", "dropout, RATE"),
        ("flatten, 2", "'2' is one parameter too many", "flatten"),
        ("dense, 10, softmax", "the classifying layer is added by itself", "dense, UNITS, ACT"),
        ("dense, 1000000000, relu", "units must lie between 1 and 1,000,000", "dense, UNITS"),
        ("batchnorm, 1", "'1' is one parameter too many", "batchnorm"),
        ("convolution, 8", "no layer is called 'convolution'", "maxpooling[, SIZE]"),
    ],
)
def test_an_error_names_file_line_text_reason_and_form(
    line: str, reason: str, accepted: str
) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.parse(f"# a comment\nflatten\n\n{line}\n", source="mine.txt")
    first, *rest = str(caught.value).splitlines()
    assert first.startswith(f"mine.txt, line 4: {line!r}: ")
    assert reason in first
    assert rest[0] == "accepted:"
    assert any(row.startswith(f"  {accepted}") for row in rest)


def test_all_bad_lines_are_listed_with_the_forms_once() -> None:
    with pytest.raises(ArchitectureError) as caught:
        read_layers("dense, 8\nflatten\nconv\ndense\n", "m.txt")
    assert str(caught.value).splitlines() == [
        "m.txt, line 1: 'dense, 8': activation missing",
        "m.txt, line 3: 'conv': filters and activation missing",
        "m.txt, line 4: 'dense': units and activation missing",
        "accepted:",
        f"  {CONV}",
        "  dense, UNITS, ACTIVATION",
        "  where ACTIVATION is relu, leaky-relu, sigmoid, tanh or linear",
    ]


def test_rubbish_gives_a_short_error_without_control_characters() -> None:
    with pytest.raises(ArchitectureError) as caught:
        read_layers("\x1b[31mred" + "x" * 5000 + "\n" + "y\n" * 500, "r")
    message = str(caught.value)
    assert "\x1b" not in message
    assert len(message) < 3000
    assert f"r: and {501 - PROBLEM_LIMIT} more lines like these" in message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", " , ,\r\n"])
def test_a_text_without_layers_is_refused(text: str) -> None:
    with pytest.raises(ArchitectureError, match=r"empty\.txt: no layers; .*flatten"):
        read_layers(text, "empty.txt")


def test_too_many_layers_are_refused() -> None:
    assert len(read_layers("dropout 0.1\n" * LAYER_LIMIT, "t")) == LAYER_LIMIT
    with pytest.raises(ArchitectureError, match="long: more than 1000 layers"):
        read_layers("dropout 0.1\n" * (LAYER_LIMIT + 1), "long")
