"""What somebody may have put into a file to have it run, or read elsewhere: none of it is."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nversion.errors import ArtefactError, NVersionError
from nversion.formats import Source, load_version
from nversion.formats.writing import quiet


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What would be there if a trap went off: as it does here, to begin with."""
    place = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(place)))
    assert place.exists()
    place.unlink()
    return place


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    with quiet():
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
        program = torch.export.export(model, (torch.rand(2, 1, 2, 2),))
        torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def changed(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Write an archive with other contents of its parts."""
    other = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return other


def test_weights_of_a_program_that_are_a_pickle_are_refused(exported: Path, marker: Path) -> None:
    trap = io.BytesIO()
    torch.save(Trap(marker), trap)

    def change(name: str, content: bytes) -> bytes:
        if name.endswith("model_weights_config.json"):
            config = json.loads(content)
            for stored in config["config"].values():
                stored["use_pickle"] = True
            return json.dumps(config).encode()
        return trap.getvalue() if "/data/weights/" in name else content

    with pytest.raises(ArtefactError, match="is pickled, and pickles are never opened"):
        load_version(changed(exported, change))
    assert not marker.exists()


def test_constants_of_a_program_that_are_a_pickle_are_left_alone(
    exported: Path, marker: Path
) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith("model_constants_config.json"):
            entry = {"path_name": "custom_obj_0", "is_param": False, "use_pickle": True}
            return json.dumps({"config": {"trap": {**entry, "tensor_meta": None}}}).encode()
        if name.endswith("models/model.json"):
            program = json.loads(content)
            specs = program["graph_module"]["signature"]["input_specs"]
            told = {"arg": {"name": "trap", "class_fqn": "Trap"}, "custom_obj_name": "trap"}
            specs.insert(0, {"custom_obj": told})
            return json.dumps(program).encode()
        return content

    path = changed(exported, change)
    with zipfile.ZipFile(path, "a") as archive:
        top = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{top}/data/constants/custom_obj_0", pickle.dumps(Trap(marker)))
    assert load_version(path).record.classes == 2
    assert not marker.exists()


def test_a_pickle_under_any_name_is_not_opened(tmp_path: Path, marker: Path) -> None:
    zipped = io.BytesIO()
    torch.save(Trap(marker), zipped)
    (tmp_path / "factory.toml").touch()
    for ending in ("onnx", "keras", "h5", "pt2", "safetensors", "pt", "pth", "pkl", "ckpt"):
        path = tmp_path / f"net.{ending}"
        for content in (pickle.dumps(Trap(marker)), zipped.getvalue()):
            path.write_bytes(content)
            fed = f"size=1x2x2,factory={__name__}:linear"
            with pytest.raises(NVersionError):
                load_version(path, fed, trust=ending != "pt2")
    assert not marker.exists()


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "config": {"function": ["4wAAAA==", None, None]}},
        {"class_name": "Dense", "module": "os", "registered_name": "system", "config": {}},
        {"class_name": "system", "module": "os", "registered_name": None, "config": {}},
    ],
)
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_code_of_a_keras_layer_is_refused(
    layer: dict[str, Any], ending: str, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 2, 2, 1], "name": "in"}}
    own = {**layer, "config": {**layer["config"], "name": "trap"}}
    text = json.dumps({"class_name": "Sequential", "config": {"layers": [first, own]}})
    path, weights = tmp_path / f"net.{ending}", tmp_path / "weights"
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
        file.create_group("model_weights")
        file.attrs["model_config"] = text
    if ending == "h5":
        weights.rename(path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.write(weights, "model.weights.h5")
    with pytest.raises(ArtefactError, match=r"'trap'.* is code of its own and never run"):
        load_version(path)


def with_data_elsewhere(path: Path, location: str) -> Path:
    """Write an ONNX file whose weights, six numbers, lie in another file."""
    onnx = pytest.importorskip("onnx")
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4, 2])
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "32")):
        weight.external_data.add(key=key, value=value)
    info, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Flatten", ["x"], ["f"]),
            onnx.helper.make_node("MatMul", ["f", "w"], ["y"]),
        ],
        "graph",
        [info("x", float32, [None, 1, 2, 2])],
        [info("y", float32, [None, 2])],
        [weight],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "way", ["../secret.bin", "ABSOLUTE", "link.bin", "folder/../../secret.bin"]
)
def test_weights_outside_the_folder_of_an_onnx_file_are_not_read(way: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(32)))
    path = with_data_elsewhere(
        tmp_path / "nets" / "net.onnx", str(secret) if way == "ABSOLUTE" else way
    )
    if way == "link.bin":
        (path.parent / way).symlink_to(secret)
    with pytest.raises(ArtefactError, match="not readable as ONNX"):
        load_version(path)


def test_weights_beside_an_onnx_file_are_part_of_what_it_is(tmp_path: Path) -> None:
    path = with_data_elsewhere(tmp_path / "nets" / "net.onnx", "net.onnx.data")
    data = path.parent / "net.onnx.data"
    data.write_bytes(torch.ones(4, 2).numpy().tobytes())
    before, content = load_version(path), Source(path).content()
    data.write_bytes((2.0 * torch.ones(4, 2)).numpy().tobytes())
    after = load_version(path)
    assert before.record.origin is not None
    assert after.record.origin is not None
    assert before.record.origin.sha256 != after.record.origin.sha256
    assert Source(path).content() != content
