"""One program of networks from five formats: as accurate as at home, voted, attacked, certified.

Two are trained here as their authors' examples have them, for an epoch on MNIST: PyTorch's MNIST
example (its architecture, Adadelta at 1.0, batches of 64), exported by ``torch.export``, and Keras'
``mnist_convnet`` (https://keras.io/examples/vision/mnist_convnet, Adam, batches of 128), saved as
``.keras``. Three others are given: ONNX files, and weights whose metadata describe the layers.
Each is asked by its own runtime (PyTorch, Keras, ONNX Runtime) and as nversion loads it.

    KERAS_BACKEND=torch python benchmarks/own_networks.py --data FOLDER --nets FOLDER --work FOLDER
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import nversion as nv
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
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()
        with torch.no_grad():
            parts = [module((part - MEAN) / STD) for part in torch.split(images, 500)]
        return torch.cat(parts).argmax(1)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [1, *entry.shape[1:]]
    found = [session.run(None, {entry.name: one.reshape(shape)})[0] for one in images.numpy()]
    return torch.from_numpy(np.stack(found).reshape(len(images), -1)).argmax(1)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "nets", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--certified", type=int, default=5)
    options = parser.parse_args()
    data = nv.load_dataset("mnist", root=options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    trained = {
        options.work / "pytorch-example.pt2": train_pytorch,
        options.work / "mnist_convnet.keras": train_keras,
    }
    for path, train in trained.items():
        if not path.is_file():
            train(data, path)
    files = [*trained, *sorted(options.nets.glob("*.onnx"))]
    images, labels = data.test.images, data.test.labels
    versions = {}
    for path in files:
        feed = f"mean={MEAN},std={STD}" if path.suffix == ".pt2" else None
        version = load_version(path, feed)
        versions[path.name] = version.model
        ours, theirs = predict(version.model, images), at_home(path, images)
        right, home = (100 * float((one == labels).double().mean()) for one in (ours, theirs))
        print(
            f"{path.name:24} {right:6.2f} % right, at home {home:6.2f} %, "
            f"another class on {int((ours != theirs).sum())} of {len(images)}",
            *doubts_of(version, images, labels),
            flush=True,
        )
    program = nv.Program(list(versions.values()))
    verdict = program.vote(images)
    print(f"{'vote of all':24} {verdict.summary(labels)}", flush=True)
    rows = (verdict.labels == labels).nonzero().flatten()[: options.certified]
    found = nv.attacks.create("deepfool")(program, images[rows], labels[rows])
    print(f"{'deepfool on the vote':24} {found.summary()}", flush=True)
    for norm in (2, float("inf")):
        started = time.perf_counter()
        radii = nv.certify(program, images[rows], labels[rows], norm=norm)
        print(
            f"certified in L{norm:<10} median radius {float(radii.median()):.4f}, "
            f"{(time.perf_counter() - started) / len(rows):.1f} s an image",
            flush=True,
        )


if __name__ == "__main__":
    main()
