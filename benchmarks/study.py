"""Wall-clock seconds of a ten-version study, beside the same work done as the 2019 study did it.

    pip install 'nversion[benchmarks,foolbox]'
    python benchmarks/study.py --data-dir PATH_OF_MNIST [--peer-python PYTHON] [--peer-share 0.1]

One side is `nversion study` with the recipe `study` (Adadelta, 12 epochs, batches of 128). The
other is what the 2019 study did with today's releases: Keras 3 on TensorFlow, `fit` for each
version, Foolbox 3 on one version after the other with the options of the 2019 study, `predict` for
the versions on the training images (the teacher's labels) and on the adversarial images, `fit` for
student and baseline, and Foolbox on both. Both train the same architectures on the same images.

The peer's work is even, so a share of it can be measured and the rest computed: with
`--peer-share 0.1` one tenth of the epochs' steps and of the images of `predict`, beside the first
step of each, which builds TensorFlow's graph and counts once; one of ten versions' attacks; and the
attacks on the student alone, counted twice. The table says so. Only the attacks that Foolbox 3 has
are run by both sides. Voting and certification are left out, as Foolbox and Keras have nothing like
them (the 2019 study certified with CNN-Cert; see benchmarks/certification.py). nversion runs on
`--workers` processes of one thread, the peer on as many threads of TensorFlow; one side after the
other.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ATTACKS = ("gradient", "gradient-sign", "deepfool", "carlini-wagner", "newtonfool", "random-pgd")
"""Those of the study that Foolbox 3 has too, by our names."""

STAGES = ("versions", "attacks", "program", "distillation", "evaluation")
BATCH, EPOCHS, IMAGES = 128, 12, 13


def main() -> None:
    """Measure both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--frequency-images", type=int, default=100)
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer-share", type=float, default=1.0)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peer", metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.attacks = chosen.attacks.split(",")
    if chosen.peer:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        Path(chosen.peer).write_text(json.dumps(Peer(chosen).run()))
        return
    ours, accuracy = measure_nversion(chosen)
    theirs = measure_peer(chosen)
    report(chosen, ours, accuracy, theirs)
    if chosen.out:
        chosen.out.write_text(json.dumps({"nversion": ours, "peer": theirs}, indent=2) + "\n")


def report(
    chosen: argparse.Namespace, ours: dict[str, float], accuracy: float, theirs: dict[str, float]
) -> None:
    """Print the table."""
    share = chosen.peer_share
    title = "Keras 3 and Foolbox 3" + (f" (from {share:.0%} of the work)" if share < 1 else "")
    print(f"| stage, seconds | nversion | {title} | ratio |")
    print("| --- | --- | --- | --- |")
    for stage in STAGES:
        ratio = theirs[stage] / ours[stage]
        print(f"| {stage} | {ours[stage]:.1f} | {theirs[stage]:.1f} | {ratio:.1f} |")
    sums = [sum(side[stage] for stage in STAGES) for side in (ours, theirs)]
    print(f"| all | {sums[0]:.1f} | {sums[1]:.1f} | {sums[1] / sums[0]:.1f} |")
    print(
        f"\n{chosen.versions} versions, {chosen.epochs} epochs, {len(chosen.attacks)} attacks on "
        f"{IMAGES} images each, {chosen.workers} cores; mean test accuracy of the versions: "
        f"nversion {accuracy:.2%}" + ("" if share < 1 else f", Keras {theirs['accuracy']:.2%}")
    )


def measure_nversion(chosen: argparse.Namespace) -> tuple[dict[str, float], float]:
    """Return the study's seconds by stage and the versions' mean test accuracy."""
    from nversion.study import make_config, run_study

    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        recipe.write_text(
            'optimiser = "adadelta"\nlearning_rate = 1.0\nrho = 0.95\nepsilon = 1e-7\n'
            f"epochs = {chosen.epochs}\nbatch_size = {BATCH}\n"
        )
        config = make_config(
            {
                "dataset": "mnist",
                "data_dir": chosen.data_dir,
                "versions": {"count": chosen.versions, "recipe": str(recipe)},
                "attacks": {"names": chosen.attacks, "images": IMAGES, "storable": False},
                "whole": {"images": 0},
                "evaluation": {"frequency_images": chosen.frequency_images},
                "certification": {"images": 1, "norms": [2], "program_images": 0},
                "run": {"workers": chosen.workers},
            }
        )
        results = run_study(config, Path(folder) / "study")
    reached = [row.test_accuracy for row in results.versions if row.test_accuracy]
    return results.study.wall_seconds, sum(reached) / len(reached)


def measure_peer(chosen: argparse.Namespace) -> dict[str, float]:
    """Run the peer in its own interpreter, which needs nversion's sources for the data only."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "peer.json"
        command = [chosen.peer_python, __file__, *sys.argv[1:], "--peer", str(file)]
        subprocess.run(command, check=True)
        found: dict[str, float] = json.loads(file.read_text())
        return found


class Peer:
    """The 2019 study's work, with Keras 3 and Foolbox 3."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        import keras
        import tensorflow as tf

        from nversion.architectures import catalogue, student_architecture
        from nversion.datasets import load_dataset

        tf.config.threading.set_intra_op_parallelism_threads(chosen.workers)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.share: float = chosen.peer_share
        self.epochs: int = chosen.epochs
        self.frequency_images, self.attacks = chosen.frequency_images, chosen.attacks
        data = load_dataset("mnist", root=chosen.data_dir)
        self.images = data.train.images.numpy().transpose(0, 2, 3, 1)
        self.labels = keras.utils.to_categorical(data.train.labels.numpy(), data.classes)
        self.test_images = data.test.images.numpy().transpose(0, 2, 3, 1)
        self.test_labels = data.test.labels.numpy()
        shape, classes = data.shape, data.classes
        self.architectures = [
            *(a.to_text() for a in catalogue(chosen.versions, shape, classes)),
            student_architecture().to_text(),
        ]
        self.classes = classes

    def run(self) -> dict[str, float]:
        """Return seconds by stage, scaled up to the whole work, and the mean test accuracy."""
        versions = [self.build(text) for text in self.architectures[:-1]]
        seconds = {"versions": sum(map(self.fit, versions))}
        attacked = versions[: max(math.ceil(self.share * len(versions)), 1)]
        attacking = sum(self.attack(version, IMAGES) for version in attacked)
        seconds["attacks"] = attacking * len(versions) / len(attacked)
        size = len(versions) * len(self.attacks) * IMAGES
        seconds["program"] = sum(self.predict(version, size) for version in versions)
        taught = sum(self.predict(version, len(self.images)) for version in versions)
        twins = [self.build(self.architectures[-1]) for _ in ("student", "baseline")]
        seconds["distillation"] = taught + sum(map(self.fit, twins))
        tried = twins if self.share == 1 else twins[:1]
        evaluating = sum(self.attack(network, self.frequency_images) for network in tried)
        seconds["evaluation"] = evaluating * len(twins) / len(tried)
        right = [
            (v.predict(self.test_images, verbose=0).argmax(axis=1) == self.test_labels).mean()
            for v in versions
        ]
        return {**seconds, "accuracy": float(sum(right) / len(right))}

    def build(self, text: str) -> Any:
        """Return a compiled Keras model of an architecture's text."""
        import keras

        model = keras.Sequential([keras.Input(self.images.shape[1:])])
        for line in text.splitlines():
            name, *values = line.replace(",", " ").split()
            if name == "conv":
                size = int(values[2]) if len(values) > 2 else 3
                model.add(keras.layers.Conv2D(int(values[0]), size, activation=values[1]))
            elif name == "dense":
                model.add(keras.layers.Dense(int(values[0]), activation=values[1]))
            elif name == "maxpooling":
                model.add(keras.layers.MaxPooling2D(int(values[0]) if values else 2))
            elif name == "dropout":
                model.add(keras.layers.Dropout(float(values[0])))
            elif name == "flatten":
                model.add(keras.layers.Flatten())
        model.add(keras.layers.Dense(self.classes, activation="softmax"))
        optimiser = keras.optimizers.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7)
        model.compile(optimizer=optimiser, loss="categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, model: Any) -> float:
        """Train for the study's epochs, or a share of them; return the seconds of the whole."""

        def train(images: int, epochs: int) -> float:
            return seconds_of(
                model.fit,
                self.images[:images],
                self.labels[:images],
                batch_size=BATCH,
                epochs=epochs,
                verbose=0,
            )

        building = train(BATCH, 1)
        whole, part = divmod(self.epochs * self.share, 1)
        trained = train(len(self.images), int(whole)) if whole else 0.0
        if part:
            trained += train(max(round(part * len(self.images)), BATCH), 1)
        return building + trained / float(self.share)

    def predict(self, model: Any, count: int) -> float:
        """Ask for the outputs on so many images, or a share; return the seconds of the whole."""

        def ask(images: int) -> float:
            return seconds_of(model.predict, self.images[:images], batch_size=BATCH, verbose=0)

        return ask(BATCH) + ask(max(round(count * self.share), 1)) / float(self.share)

    def attack(self, model: Any, count: int) -> float:
        """Run each attack on the first correctly classified images; return the seconds."""
        import foolbox
        import keras
        import tensorflow as tf

        # Attacks want logits: the same network without its last activation.
        logits = keras.models.clone_model(model)
        logits.set_weights(model.get_weights())
        logits.layers[-1].activation = keras.activations.linear
        shown, truth = self.test_images[: 4 * count + 64], self.test_labels[: 4 * count + 64]
        right = model.predict(shown, verbose=0).argmax(axis=1) == truth
        images, labels = tf.constant(shown[right][:count]), tf.constant(truth[right][:count])
        wrapped = foolbox.TensorFlowModel(logits, bounds=(0, 1), device="/CPU:0")
        seconds = 0.0
        for name in self.attacks:
            attack, epsilons = foolbox_attack(name)
            seconds += seconds_of(attack, wrapped, images, labels, epsilons=epsilons)
        return seconds


def seconds_of(work: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - started


def foolbox_attack(name: str) -> tuple[Any, Any]:
    """Return Foolbox's attack with the study's options, and the budgets to try (None: it decides).

    The single steps grow through 1,000 magnitudes, as Foolbox 2 did by default; Foolbox 3 tries all
    of them for every image. Random PGD searches its budget over 20 growing values.
    """
    import numpy as np
    from foolbox import attacks

    grid = np.linspace(0.0, 1.0, 1001)[1:]
    table: dict[str, tuple[Any, Any]] = {
        "gradient": (attacks.L2FastGradientAttack(), list(28.0 * grid)),
        "gradient-sign": (attacks.LinfFastGradientAttack(), list(grid)),
        "deepfool": (attacks.L2DeepFoolAttack(steps=100), None),
        "carlini-wagner": (
            attacks.L2CarliniWagnerAttack(
                binary_search_steps=5, steps=1000, stepsize=0.005, initial_const=0.01
            ),
            None,
        ),
        "newtonfool": (attacks.NewtonFoolAttack(steps=100, stepsize=0.01), None),
        "random-pgd": (
            attacks.LinfPGD(rel_stepsize=1 / 30, steps=40, random_start=True),
            list(0.3 * np.linspace(0.0, 1.0, 21)[1:]),
        ),
    }
    return table[name]


if __name__ == "__main__":
    main()
