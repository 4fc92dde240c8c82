"""Training speed: images per second on one core, beside Keras 3 on TensorFlow, in one run.

    pip install 'nversion[benchmarks]'
    python benchmarks/training.py --data-dir PATH_OF_MNIST [--out training.json]

Both train the same three architectures with the same recipe (Adadelta, batches of 128, as the 2019
study did through Keras) on the same MNIST images, each measurement in a process of its own with one
thread and, where the system can, held to one core, the two sides in turn. (TensorFlow has threads
beside the one that computes; left free they use a second core.) What is timed is whole epochs of
the ordinary call, nversion.train and keras.Model.fit; start-up and the first, warming call are left
out. The number is the median over `--rounds`; on a machine with other work, look at the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ARCHITECTURES = {
    "student": "conv 32 relu\nconv 64 relu\nmaxpooling\ndropout 0.25\nflatten\n"
    "dense 128 relu\ndropout 0.5",
    "small cnn": "conv 8 relu\nconv 16 relu\nmaxpooling\nflatten\ndense 32 relu",
    "dense": "flatten\ndense 128 relu\ndense 128 relu",
}
BATCH = 128
STEPS = {"student": 60, "small cnn": 250, "dense": 800}
SIDES = ("keras", "nversion float32", "nversion")


def main() -> None:
    """Measure all sides in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, name = options.one
        print(json.dumps(measure(side, name, options.data_dir)))
        return
    sides = options.sides.split(",")
    rates: dict[str, dict[str, list[float]]] = {name: {s: [] for s in sides} for name in STEPS}
    for _ in range(options.rounds):
        for name in STEPS:
            for side in sides:
                rates[name][side].append(in_process(side, name, options.data_dir))
    medians = {n: {s: statistics.median(r) for s, r in by.items()} for n, by in rates.items()}
    print(f"{'images per second':20}" + "".join(f"{side:>20}" for side in sides) + f"{'ratio':>8}")
    for name, by in medians.items():
        ratio = by["nversion"] / by["keras"] if {"nversion", "keras"} <= by.keys() else float("nan")
        print(f"{name:20}" + "".join(f"{by[s]:20.0f}" for s in sides) + f"{ratio:8.2f}")
    if options.out:
        options.out.write_text(json.dumps({"medians": medians, "rounds": rates}, indent=2) + "\n")


def in_process(side: str, name: str, data_dir: str) -> float:
    """Return images per second, measured in a fresh process with one thread."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, __file__, "--data-dir", data_dir, "--one", side, name]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=hold_to_one_core,
    )
    if done.returncode:
        raise SystemExit(f"{side}, {name}: failed\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def hold_to_one_core() -> None:
    """Let this process run on the first of its cores only, where the system has such a setting."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(side: str, name: str, data_dir: str) -> float:
    """Return images per second of one side on one architecture."""
    if side == "keras":
        return measure_keras(name, data_dir)
    return measure_nversion(name, data_dir, "float32" if side.endswith("float32") else "auto")


def measure_nversion(name: str, data_dir: str, precision: Any) -> float:
    """Time nversion's training loop, without the accuracies that are measured after it."""
    import torch

    import nversion as nv
    from nversion.versions.descent import Material
    from nversion.versions.training import fit, resolve_precision

    torch.set_num_threads(1)
    data = nv.load_dataset("mnist", root=data_dir)
    architecture = nv.Architecture.parse(ARCHITECTURES[name])
    images = BATCH * STEPS[name]
    repeats = -(-images // len(data.train))
    inputs = data.train.images.repeat(repeats, 1, 1, 1)[:images]
    labels = data.train.labels.repeat(repeats)[:images]
    recipe = nv.load_recipe("study").model_copy(update={"epochs": 1})
    chosen = resolve_precision(precision, architecture)
    seconds = 0.0
    for count in (BATCH * 8, images):
        model = architecture.build(data.shape, data.classes, seed=0)
        started = time.perf_counter()
        fit(model, Material(inputs[:count], labels[:count]), recipe, chosen, seed=0, name=name)
        seconds = time.perf_counter() - started
    return images / seconds


def measure_keras(name: str, data_dir: str) -> float:
    """Time Keras' fit on the same architecture, images and recipe."""
    import keras
    import numpy as np

    import nversion as nv

    data = nv.load_dataset("mnist", root=data_dir)
    images = BATCH * STEPS[name]
    repeats = -(-images // len(data.train))
    inputs = np.tile(data.train.images.numpy().transpose(0, 2, 3, 1), (repeats, 1, 1, 1))[:images]
    labels = keras.utils.to_categorical(np.tile(data.train.labels.numpy(), repeats)[:images], 10)
    model = keras.Sequential([keras.Input(data.shape[1:] + data.shape[:1])])
    for line in ARCHITECTURES[name].splitlines():
        word, *values = line.split()
        if word == "conv":
            model.add(keras.layers.Conv2D(int(values[0]), 3, activation=values[1]))
        elif word == "dense":
            model.add(keras.layers.Dense(int(values[0]), activation=values[1]))
        elif word == "maxpooling":
            model.add(keras.layers.MaxPooling2D(2))
        elif word == "dropout":
            model.add(keras.layers.Dropout(float(values[0])))
        else:
            model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimiser = keras.optimizers.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7)
    model.compile(loss="categorical_crossentropy", optimizer=optimiser, metrics=["accuracy"])
    model.fit(inputs[: BATCH * 8], labels[: BATCH * 8], batch_size=BATCH, verbose=0)
    started = time.perf_counter()
    model.fit(inputs, labels, batch_size=BATCH, epochs=1, verbose=0)
    return images / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
