"""One program of networks of mixed formats: as accurate as at home, voted, attacked, certified.

Two are trained here as their authors' examples have them, for an epoch on MNIST: PyTorch's MNIST
example (its architecture, Adadelta at 1.0, batches of 64), exported by ``torch.export``, and Keras'
``mnist_convnet`` (https://keras.io/examples/vision/mnist_convnet, Adam, batches of 128), saved as
``.keras``. The others are given in a folder: ONNX files, and weights whose metadata describe the
layers. Each is asked by its own runtime (PyTorch, Keras, ONNX Runtime) and as nversion loads it.

    KERAS_BACKEND=torch python benchmarks/own_networks.py --data FOLDER --nets FOLDER --work FOLDER
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import nversion as nv
from nets_of_others import described
from nversion.formats import doubts_of, load_version
from nversion.models import predict


class Example(nn.Module):
    """The network of PyTorch's MNIST example."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities; the example normalises its images beforehand."""
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = self.dropout1(functional.max_pool2d(x, 2))
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return functional.log_softmax(self.fc2(self.dropout2(x)), dim=1)


MEAN, STD = 0.1307, 0.3081

ENDINGS = (".onnx", ".safetensors")


def train_pytorch(data: nv.Dataset, path: Path) -> None:
    """Train the example for an epoch, and export it."""
    torch.manual_seed(1)
    model, images = Example(), (data.train.images - MEAN) / STD
    optimiser = torch.optim.Adadelta(model.parameters(), lr=1.0)
    for rows in torch.split(torch.randperm(len(images)), 64):
        optimiser.zero_grad()
        functional.nll_loss(model(images[rows]), data.train.labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    count = torch.export.Dim("count")
    program = torch.export.export(model.eval(), (images[:2],), dynamic_shapes=({0: count},))
    torch.export.save(program, path)


def train_keras(data: nv.Dataset, path: Path) -> None:
    """Train Keras' example for an epoch, and save it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    images = data.train.images.permute(0, 2, 3, 1).numpy()
    model.fit(images, data.train.labels.numpy(), batch_size=128, epochs=1, verbose=0)
    model.save(path)


def at_home(path: Path, images: Tensor) -> Tensor:
    """Return the classes that a file's own runtime gives."""
    if path.suffix == ".keras":
        import keras

        outputs: Any = keras.models.load_model(path).predict(
            images.permute(0, 2, 3, 1).numpy(), verbose=0
        )
        return torch.from_numpy(np.asarray(outputs)).argmax(1)
    if path.suffix in (".pt2", ".safetensors"):
        module: nn.Module
        if path.suffix == ".pt2":
            module, images = torch.export.load(path).module(), (images - MEAN) / STD
        else:
            module = described(path)
            module.load_state_dict(load_file(path))
        with torch.no_grad():
            return torch.cat([module(part) for part in torch.split(images, 500)]).argmax(1)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [1, *entry.shape[1:]]
    found = [session.run(None, {entry.name: one.reshape(shape)})[0] for one in images.numpy()]
    return torch.from_numpy(np.stack(found).reshape(len(images), -1)).argmax(1)


def loaded(path: Path) -> nv.Version:
    """Return a file as a version."""
    if path.suffix == ".pt2":
        return load_version(path, f"mean={MEAN},std={STD}")
    if path.suffix == ".safetensors":
        factory = f"nets_of_others:{path.stem.replace('-', '_')}"
        return load_version(path, f"size=1x28x28,factory={factory}", trust=True)
    return load_version(path)


def certified(model: nn.Module, images: Tensor, labels: Tensor, norm: float) -> str:
    """Return the median radius and the processor seconds of an image, or why there is none."""
    started = time.process_time()
    try:
        radii = nv.certify(model, images, labels, norm=norm)
    except nv.NVersionError as error:
        return str(error)
    spent = (time.process_time() - started) / len(images)
    return f"{float(radii.median()):.4f} ({spent:.1f} s)"


def row_of(
    path: Path, version: nv.Version, images: Tensor, labels: Tensor, count: int
) -> tuple[str, ...]:
    """Return a row of the table: accuracies here and at home, differences, radii."""
    ours, theirs = predict(version.model, images), at_home(path, images)
    right, home = (100 * float((one == labels).double().mean()) for one in (ours, theirs))
    shown = (ours == labels).nonzero().flatten()[:count]
    radii = [
        certified(version.model, images[shown], labels[shown], norm) if count else ""
        for norm in (2, float("inf"))
    ]
    doubts = doubts_of(version, images, labels)
    differ = str(int((ours != theirs).sum()))
    return path.name, f"{right:.2f} %", f"{home:.2f} %", differ, *radii, "; ".join(doubts)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "nets", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000, help="that versions are asked about")
    parser.add_argument("--voted", type=int, default=10_000, help="that the program votes on")
    parser.add_argument("--certified", type=int, default=5, help="right ones, that are certified")
    parser.add_argument("--certify", help="parts of the names of files that are; all by default")
    options = parser.parse_args()
    wanted = (options.certify or ".").split(",")
    os.environ["NETS"] = str(options.nets)
    torch.set_num_threads(1)
    data = nv.load_dataset("mnist", root=options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    trained = {
        options.work / "pytorch-example.pt2": train_pytorch,
        options.work / "mnist_convnet.keras": train_keras,
    }
    for path, train in trained.items():
        if not path.is_file():
            train(data, path)
    given = sorted(path for path in options.nets.iterdir() if path.suffix in ENDINGS)
    images, labels = (part[: options.images] for part in (data.test.images, data.test.labels))
    heads = ("file", "here", "at home", "another class", "L2", "Linf", "doubts")
    print(f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", sep="\n", flush=True)
    versions = {}
    for path in [*given, *trained]:
        version = versions[path.name] = loaded(path)
        count = options.certified if any(part in path.name for part in wanted) else 0
        row = row_of(path, version, images, labels, count)
        print(f"| {' | '.join(row)} |", flush=True)
    program = nv.Program([version.model for version in versions.values()])
    images, labels = images[: options.voted], labels[: options.voted]
    verdict = program.vote(images)
    print("vote of all:", verdict.summary(labels), flush=True)
    rows = (verdict.labels == labels).nonzero().flatten()[: options.certified]
    found = nv.attacks.create("deepfool")(program, images[rows], labels[rows])
    print("deepfool on the vote:", found.summary(), flush=True)
    chosen = {name: one for name, one in versions.items() if any(part in name for part in wanted)}
    program = nv.Program([version.model for version in chosen.values()])
    print("the certified vote is of", ", ".join(chosen))
    for norm in (2, float("inf")):
        found_radii = certified(program, images[rows], labels[rows], norm)
        print(f"certified in L{norm}:", found_radii, flush=True)


if __name__ == "__main__":
    main()
