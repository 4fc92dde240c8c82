"""Where a study keeps what: the one place that knows the names of its files.

A study is a folder (docs/guide/study.md has the tree). While a study runs, a lock on ``.lock``
keeps a second one out of the same folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from nversion.errors import StudyError
from nversion.replication.settings import ReplicationFolder

__all__ = ["StudyFolder"]


class StudyFolder:
    """The files of one study.

    Attributes:
        root: the study's folder, absolute: a worker process may have been started elsewhere.
        adversarial: the folder of the adversarial set.
    """

    def __init__(self, root: Path, adversarial: str = "adversarial") -> None:
        self.root = root.resolve()
        self.adversarial = self.root / adversarial

    @property
    def config(self) -> Path:
        """The whole resolved configuration."""
        return self.root / "study.toml"

    @property
    def results(self) -> Path:
        """Every number that the report shows."""
        return self.root / "results.json"

    @property
    def timings(self) -> Path:
        """Wall-clock seconds that all runs of this study spent on units, those lost included."""
        return self.root / ".units" / "timings.json"

    @property
    def shared_data(self) -> Path:
        """The dataset's arrays while a study runs, for its workers to map into memory."""
        return self.root / ".units" / "data"

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.root / "report"

    @property
    def former(self) -> Path:
        """Reports of this study with other settings, each in a folder named by their digest."""
        return self.report / "former"

    @property
    def attack_table(self) -> Path:
        """The table of attacks, and the image to show them on."""
        return self.root / ".units" / "attacks.json"

    @property
    def example(self) -> Path:
        """What all attacks made of one image."""
        return self.adversarial / "example.safetensors"

    @property
    def program_summary(self) -> Path:
        """Accuracies of the program and its versions."""
        return self.root / "program" / "summary.json"

    @property
    def verdicts(self) -> Path:
        """The program's verdicts on the adversarial set and on the test images."""
        return self.root / "program" / "verdicts.safetensors"

    @property
    def under_attack(self) -> Path:
        """The versions' accuracy under attack at the usual radii."""
        return self.adversarial / "under-attack.json"

    @property
    def comparisons(self) -> Path:
        """Program, best version, baseline and student against each other."""
        return self.root / "program" / "comparisons.json"

    def reliability(self, part: str) -> Path:
        """What was measured of failures: on "test" or "adversarial" images, of voters, choices."""
        return self.root / "program" / "reliability" / f"{part}.json"

    def faults(self, kind: str) -> Path:
        """What votes decide with versions that have one kind of fault."""
        return self.root / "program" / "faults" / f"{kind}.json"

    def diversity(self, kind: str) -> Path:
        """The matrices of diversity of all pairs of versions on "test" or "adversarial" images."""
        return self.root / "program" / f"diversity-{kind}.safetensors"

    def training_outputs(self, version: str) -> Path:
        """The file of a version's softmax outputs on the training images that are chosen on."""
        return self.root / "program" / "training-outputs" / f"{version}.safetensors"

    @property
    def teacher(self) -> Path:
        """The teacher's labels: the program's mean softmax on the training images."""
        return self.root / "distillation" / "teacher.safetensors"

    @property
    def replication(self) -> ReplicationFolder:
        """Students and baselines again and again, where there are any."""
        return ReplicationFolder(self.root / "replication")

    def version(self, name: str) -> Path:
        """The folder of a version."""
        return self.root / "versions" / name

    def network(self, role: str) -> Path:
        """The folder of the baseline or the student, which is laid out like a version's."""
        return self.root / "distillation" / role

    def run(self, version: str, attack: str) -> Path:
        """The file of one attack's run on one version."""
        return self.adversarial / "runs" / version / f"{attack_file(attack)}.safetensors"

    def network_run(self, role: str, attack: str) -> Path:
        """The file of one attack's run on the baseline or the student."""
        return self.root / "distillation" / "runs" / role / f"{attack_file(attack)}.safetensors"

    def outputs(self, version: str) -> Path:
        """The file of a version's softmax outputs on the adversarial set."""
        return self.root / "program" / "outputs" / f"{version}.safetensors"

    def teacher_part(self, part: int) -> Path:
        """The file of the teacher's labels for one part of the training images."""
        return self.root / "distillation" / "teacher" / f"{part:03d}.safetensors"

    def network_outputs(self, role: str) -> Path:
        """The file of the baseline's or student's outputs on the adversarial set."""
        return self.root / "distillation" / "outputs" / f"{role}.safetensors"

    def whole(self, subject: str, norm: str, part: int) -> Path:
        """The file of attacks on one vote (or network), in one norm, on one part of the images."""
        return self.root / "program" / "whole" / subject / f"l{norm}-{part:03d}.safetensors"

    def whole_budget(self, norm: str) -> Path:
        """The file of the diversity budget in one norm."""
        return self.root / "program" / "whole" / f"budget-l{norm}.safetensors"

    @property
    def whole_checks(self) -> Path:
        """Whether attacks on the program can be believed."""
        return self.root / "program" / "whole" / "checks.json"

    def certificates(self, role: str, norm: str, domain: str, part: int) -> Path:
        """The file of one part of the images' radii."""
        return self.root / "certificates" / role / f"l{norm}-{domain}-{part:03d}.safetensors"

    def attacked(self, role: str, norm: str, part: int) -> Path:
        """The file of the nearest errors found on one part of the certified images."""
        return self.root / "certificates" / "attacked" / role / f"l{norm}-{part:03d}.safetensors"

    def relative(self, path: Path) -> str:
        """Return a path inside the study as text relative to its root."""
        return path.relative_to(self.root).as_posix()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study's folder for the time of the block.

        Raises:
            StudyError: another study is running in it, or it is a file.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StudyError(
                f"{self.root}: there is a file in its way; name another folder with --out"
            ) from None
        lock = filelock.FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StudyError(
                f"{self.root}: another study is running in this folder; wait for it to end, "
                "or name another folder with --out"
            ) from None
        try:
            yield
        finally:
            lock.release()


def attack_file(attack: str) -> str:
    """Return an attack's name as a file name ("foolbox:BoundaryAttack" holds a colon)."""
    return attack.replace(":", "--")
