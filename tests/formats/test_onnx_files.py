"""ONNX files: the outputs of ONNX Runtime, whatever order a file keeps its numbers in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nversion as nv
from nversion.errors import ArtefactError, InputError, MissingExtraError
from nversion.formats import load_version

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = np.random.default_rng(0)


def array(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    name = f"{kind}_{outputs.split()[0]}"
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), name=name, **attributes)


def save(
    path: Path,
    nodes: list[Any],
    shape: list[Any],
    outputs: str = "y",
    opset: int = 17,
    **constants: Any,
) -> Path:
    """Write a file that takes x of a shape; `constants` are its arrays."""
    info = onnx.helper.make_tensor_value_info
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [info("x", float32, shape)],
        [info(name, float32, None) for name in outputs.split()],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def runtime(path: Path, inputs: Any) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": inputs})[0])


def images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random((3, *shape), dtype=np.float32))


def channels_last(folder: Path) -> Path:
    """As TensorFlow's converter writes: images last, transposed around each convolution."""
    return save(
        folder / "last.onnx",
        [
            node("Transpose", "x", "a", perm=[0, 3, 1, 2]),
            node("Pad", "a pads", "b"),
            node("Conv", "b w", "c", strides=[2, 2]),
            node("Relu", "c", "d"),
            node("MaxPool", "d", "e", kernel_shape=[2, 2], strides=[2, 2]),
            node("Transpose", "e", "f", perm=[0, 2, 3, 1]),
            node("Reshape", "f sides", "g"),
            node("MatMul", "g v", "h"),
            node("Add", "h u", "i"),
            node("Softmax", "i", "y"),
        ],
        [None, 9, 9, 2],
        w=array(4, 2, 3, 3),
        pads=np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        sides=np.array([-1, 16]),
        v=array(16, 5),
        u=array(5),
    )


def test_channels_last_become_plain_layers_that_are_certified(tmp_path: Path) -> None:
    path = channels_last(tmp_path)
    version = load_version(path)
    x = images(2, 9, 9)
    wanted = runtime(path, x.permute(0, 2, 3, 1).numpy().copy())
    with torch.no_grad():
        logits = version.model(x)
    assert torch.allclose(logits.softmax(1), wanted, atol=1e-6)
    assert version.record.shape == (2, 9, 9)
    kinds = [type(one).__module__ for one in version.model.modules()]
    assert [kind for kind in kinds if kind.startswith("torch.nn")][1:]
    assert not [kind for kind in kinds if kind == "nversion.formats.plain"]
    radii = nv.certify(version.model, x, logits.argmax(1), norm=float("inf"))
    assert bool((radii > 0).all())


def test_a_column_of_numbers_and_a_batch_of_one(tmp_path: Path) -> None:
    path = save(
        tmp_path / "column.onnx",
        [
            node("Flatten", "x", "a"),
            node("MatMul", "a w", "b"),
            node("Relu", "b", "c"),
            node("Gemm", "c v u", "y", transB=1),
        ],
        [1, 16, 1],
        w=array(16, 6),
        v=array(3, 6),
        u=array(3),
    )
    version, x = load_version(path), images(1, 4, 4)
    with torch.no_grad():
        for one in x:
            wanted = runtime(path, one.reshape(1, 16, 1).numpy())
            assert torch.allclose(version.model(one[None]), wanted, atol=1e-5)
        assert version.model(x).shape == (3, 3)
    assert version.record.origin is not None
    assert version.record.origin.feed["layout"] == "flat"


def test_shapes_that_a_file_computes_and_a_constant_condition(tmp_path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    branches = [
        onnx.helper.make_graph([node(kind, "b", name)], name, [], [info(name, 1, None)])
        for kind, name in (("Relu", "yes"), ("Exp", "no"))
    ]
    path = save(
        tmp_path / "if.onnx",
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n axes", "m"),
            node("Concat", "m rest", "t", axis=0),
            node("Reshape", "x t", "a"),
            node("MatMul", "a w", "b"),
            node("If", "flag", "c", then_branch=branches[0], else_branch=branches[1]),
            node("Sub", "c u", "d"),
            node("Div", "d two", "y"),
        ],
        ["n", 1, 4, 4],
        zero=np.array(0),
        axes=np.array([0]),
        rest=np.array([-1]),
        flag=np.array(True),
        w=array(16, 3),
        u=array(3),
        two=np.array(2.0, dtype=np.float32),
    )
    version, x = load_version(path), images(1, 4, 4)
    with torch.no_grad():
        assert torch.allclose(version.model(x), runtime(path, x.numpy()), atol=1e-5)
    assert bool((nv.certify(version.model, x, version.model(x).argmax(1), norm=2) >= 0).all())


def test_residual_branches_pools_and_joined_maps(tmp_path: Path) -> None:
    path = save(
        tmp_path / "branches.onnx",
        [
            node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "a g h i j", "b"),
            node("Add", "a b", "c"),
            node("AveragePool", "c", "d", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("MaxPool", "c", "e", kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
            node("Concat", "d e", "f", axis=1),
            node("Clip", "f low high", "k"),
            node("Split", "k sizes", "l m", axis=1),
            node("Mul", "l m", "n"),
            node("GlobalAveragePool", "n", "o"),
            node("Squeeze", "o axes", "y"),
        ],
        [None, 1, 7, 7],
        w=array(3, 1, 3, 3),
        **{name: np.abs(array(3)) + 0.5 for name in "ghij"},
        low=np.float32(-1.0),
        high=np.float32(2.0),
        sizes=np.array([3, 3]),
        axes=np.array([2, 3]),
    )
    version, x = load_version(path), images(1, 7, 7)
    with torch.no_grad():
        assert torch.allclose(version.model(x), runtime(path, x.numpy()), atol=1e-5)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    side=st.integers(5, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_convolutions_pad_as_the_file_says(
    tmp_path: Path, side: int, kernel: int, stride: int, dilation: int, pads: list[int]
) -> None:
    weight = array(2, 1, kernel, kernel)
    attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2}
    path = save(
        tmp_path / "conv.onnx",
        [
            node("Conv", "x w", "a", pads=pads, **attributes),
            node("Flatten", "a", "y"),
        ],
        [None, 1, side, side],
        w=weight,
    )
    version = load_version(path)  # which compares it with ONNX Runtime
    x = images(1, side, side)
    with torch.no_grad():
        assert torch.allclose(version.model(x), runtime(path, x.numpy()), atol=1e-5)
    assert {type(one).__name__ for one in version.model.children()} <= {"Conv2d", "Flatten"}


def test_one_probability_becomes_two_logits(tmp_path: Path) -> None:
    path = save(
        tmp_path / "one.onnx",
        [node("Flatten", "x", "a"), node("Gemm", "a w", "b"), node("Sigmoid", "b", "y")],
        [None, 1, 4, 4],
        w=array(16, 1),
    )
    version, x = load_version(path), images(1, 4, 4)
    with torch.no_grad():
        assert torch.allclose(version.model(x).softmax(1)[:, 1:], runtime(path, x.numpy()))
    assert bool((nv.certify(version.model, x, version.model(x).argmax(1), norm=2) > 0).all())


def test_what_is_not_converted_is_named(tmp_path: Path) -> None:
    path = save(
        tmp_path / "odd.onnx",
        [node("Flatten", "x", "a"), node("Hardmax", "a", "y")],
        [None, 1, 2, 2],
    )
    with pytest.raises(ArtefactError, match=r"the operator Hardmax 'Hardmax_y' is not converted"):
        load_version(path)
    path = save(
        tmp_path / "class.onnx",
        [node("Flatten", "x", "a"), node("ArgMax", "a", "y", axis=1)],
        [None, 1, 2, 2],
    )
    with pytest.raises(ArtefactError, match="a class is no logit"):
        load_version(path)
    x, version = images(1, 2, 2), load_version(path, "key=a")
    with torch.no_grad():
        assert torch.equal(version.model(x), x.flatten(1))
    assert version.record.origin is not None
    assert version.record.origin.feed["key"] == "a"


def test_of_several_outputs_one_is_said(tmp_path: Path) -> None:
    nodes = [node("Flatten", "x", "one"), node("Exp", "one", "two")]
    path = save(tmp_path / "two.onnx", nodes, [None, 1, 2, 2], outputs="one two")
    with pytest.raises(ArtefactError, match="gives one, two; say with --input key=one"):
        load_version(path)
    x = images(1, 2, 2)
    with torch.no_grad():
        assert torch.allclose(load_version(path, "key=two").model(x), x.flatten(1).exp())


def test_no_images_are_a_square_of_that_many_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "flat.onnx", [node("Identity", "x", "y")], [None, 10])
    with pytest.raises(ArtefactError, match="no square image; say with --input size="):
        load_version(path)
    assert load_version(path, "size=1x2x5").record.shape == (1, 2, 5)
    with pytest.raises(ArtefactError, match=r"takes \[10\] numbers an image"):
        load_version(path, "size=1x2x4")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ArtefactError, match="not readable as ONNX"):
        load_version(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="no such folder or file"):
        load_version(tmp_path / "none.onnx")


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"nversion\[onnx\]"):
        load_version(tmp_path / "a.onnx")
