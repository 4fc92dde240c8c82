"""A whole study, stage by stage: each receives values from the ones before it.

versions -> attacks and the adversarial set -> program -> distillation -> evaluation ->
certification -> results.json. Every stage keeps what is done and makes what is not, so that
running a study again after an interruption, or with another setting, does only what is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nversion.adversarial import AdversarialSet, transfer_matrix
from nversion.datasets import Dataset, load_dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.errors import ArtefactError, ConfigError, StudyError
from nversion.evaluation import adversarial_frequency, rank
from nversion.files import read_object, write_json
from nversion.study.attack_stage import (
    AttackPlan,
    attack_networks,
    attack_versions,
    build_set,
)
from nversion.study.certify_stage import certify_networks
from nversion.study.compare_stage import compare, compare_frequencies
from nversion.study.config import StudyConfig, load_config, make_config, save_config
from nversion.study.distil_stage import distil
from nversion.study.engine import Engine
from nversion.study.facts import Times, study_section, version_rows
from nversion.study.folder import StudyFolder
from nversion.study.program_stage import measure_program, outputs_unit
from nversion.study.questions import answer_questions
from nversion.study.sections import (
    AdversarialSetFacts,
    AttackRow,
    Certification,
    Comparison,
    Distillation,
    Example,
    Network,
    OnAdversarialSet,
    Results,
    TransferMatrix,
)
from nversion.study.train_stage import (
    TrainedVersion,
    study_architectures,
    train_versions,
)
from nversion.study.twins import compare_twins
from nversion.study.under_attack_stage import measure_under_attack
from nversion.study.units.voting import read_outputs
from nversion.study.vote_stage import certify_vote
from nversion.versions import load_recipe
from nversion.workers import Where, open_pool

__all__ = ["run_study"]


def run_study(
    config: StudyConfig,
    folder: str | Path,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Results:
    """Run a study in `folder`, or go on with it, and return its results.

    Args:
        config: what to run.
        folder: the study's; made if it is not there.
        say: called with a line of text when something begins, is kept or fails.

    Raises:
        StudyError: the folder is in use, belongs to a study of another dataset, or nothing worked.
        NVersionError: the dataset or an architecture is at fault, or a stage failed that the rest
            needs.
    """
    place, run = StudyFolder(Path(folder)), config.run
    where = Where.of(run.workers, run.engine, run.address, run.device)
    # All that may be wrong with the wish is found before a file is written.
    _check_owner(place, config)
    data = load_dataset(config.dataset, root=config.data_dir or None)
    study_architectures(config, data)
    with open_pool(where.workers, where.engine, where.address) as pool, place.locked():
        _claim(place, config, say)
        engine = Engine(place, pool, say)
        with engine.sharing(data) as shared:
            results = _run(config, place, data, shared, engine, pool.workers)
        if not engine.made:
            say("everything was there: nothing was made again")
        return results


def _check_owner(place: StudyFolder, config: StudyConfig) -> None:
    """Raise StudyError if the folder belongs to a study of another dataset."""
    before = _dataset_of(place)
    if before not in (None, config.dataset):
        raise StudyError(
            f"{place.root}: this folder holds a study of {before!r}, not of "
            f"{config.dataset!r}; name another folder with --out"
        )


def _dataset_of(place: StudyFolder) -> str | None:
    """Return the dataset of the study that a folder holds; None if there is no study.

    A study.toml that is damaged is made good from the results, which hold the configuration too.

    Raises:
        StudyError: it is damaged and there are no results.
    """
    if not place.config.is_file():
        return None
    try:
        dataset = load_config(place.config).get("dataset")
    except ConfigError:
        dataset = None
    if dataset is None:
        with contextlib.suppress(ArtefactError, KeyError, TypeError):
            dataset = read_object(place.results)["study"]["dataset"]
    if dataset is None:
        raise StudyError(
            f"{place.config}: damaged, and there is no results.json that says which dataset this "
            "study is of; delete the file and run the command again: what is done already is kept"
        )
    return str(dataset)


def _claim(place: StudyFolder, config: StudyConfig, say: Callable[[str], None]) -> None:
    """Write study.toml, now that the folder is ours, and say if the study is finished already."""
    _check_owner(place, config)
    with contextlib.suppress(ConfigError):
        if place.results.is_file():
            before = make_config(load_config(place.config))
            if before.what_matters() == config.what_matters():
                say("this study is finished; what it made is checked, and kept where it is whole")
    save_config(config, place.config)


def _run(
    config: StudyConfig,
    place: StudyFolder,
    data: Dataset,
    shared: SharedDataset,
    engine: Engine,
    workers: int,
) -> Results:
    plan = AttackPlan.of(config)
    with engine.stage("versions"):
        versions = train_versions(config, place, data, shared, engine)
    with engine.stage("attacks"):
        known = ((version, version.correct(data)) for version in versions)
        runs = attack_versions(plan, place, shared, known, engine)
        built = build_set(plan, place, data, runs, engine)
        adversarial = built.adversarial
    with engine.stage("program"):
        program = measure_program(
            config, place, data, versions, adversarial, adversarial.digest, engine
        )
    with engine.stage("distillation"):
        networks = distil(config, place, data, shared, versions, engine)
    with engine.stage("evaluation"):
        measured, frequencies = _evaluate(
            config, place, data, shared, networks, adversarial, engine
        )
        holding = measure_under_attack(place, runs, config.seed, engine)
        compared = compare(config, place, data, versions, networks, adversarial, engine)
    with engine.stage("certification"), engine.on_processor():
        radii = certify_networks(config, place, data, networks, engine)
        certified = {"program": certify_vote(config, place, data, versions, engine)}
        certification = radii.model_copy(update=certified)
    accuracies, transfer = _transfer(place, versions, adversarial)
    measured = _with_certificates(measured, certification)
    errors = {
        name.removeprefix("versions/"): error
        for name, error in engine.failures
        if name.startswith("versions/")
    }
    architectures = study_architectures(config, data)
    example = None
    if built.example is not None:
        example = Example.model_validate(built.example.to_json(built.table))
    found = Results(
        study=study_section(
            config,
            data,
            len(versions),
            workers,
            Times(engine.wall_seconds(), engine.discarded_seconds()),
            engine.failures,
        ),
        versions=version_rows(architectures, data, place, errors, accuracies),
        attacks=[AttackRow.model_validate(row.to_json()) for row in built.table],
        adversarial_set=AdversarialSetFacts(
            size=len(adversarial),
            source_images=adversarial.source_images,
            per_attack=adversarial.per_attack,
            per_version=adversarial.per_version,
            storable=adversarial.storable,
            perceptibility_rule=plan.rule.explain(),
        ),
        under_attack=holding,
        transfer=transfer,
        program=program.model_copy(update=_against_best(compared.adversarial)),
        comparisons=compared.model_copy(update={"frequency": frequencies}),
        distillation=_distillation(config, place, measured, accuracies),
        certification=certification,
        example=example,
    )
    twins = found.distillation.model_copy(update={"comparison": compare_twins(found)})
    judged = found.model_copy(update={"distillation": twins})
    results = judged.model_copy(update={"questions": answer_questions(judged)})
    write_json(place.results, results.to_json())
    return results


def _evaluate(
    config: StudyConfig,
    place: StudyFolder,
    data: Dataset,
    shared: SharedDataset,
    networks: Mapping[str, TrainedVersion],
    adversarial: AdversarialSet,
    engine: Engine,
) -> tuple[dict[str, Network], Comparison | None]:
    """Return accuracies and adversarial frequency of baseline and student, by role.

    With them, how the two frequencies differ; None if there is none.
    """
    units = [
        outputs_unit(
            f"evaluation/{role}",
            network.folder,
            network.weights,
            place,
            adversarial.digest,
            place.network_outputs(role),
            resolve_device(config.run.device),
        )
        for role, network in networks.items()
    ]
    engine.require("evaluating baseline and student", units)
    runs = attack_networks(config, place, data, shared, networks, engine)
    measured = {}
    for role, network in networks.items():
        predictions = read_outputs(place.network_outputs(role)).argmax(dim=1)
        right = (predictions == adversarial.labels).double()
        record = read_object(network.folder / "record.json")
        frequency = adversarial_frequency(runs[role])
        measured[role] = Network(
            train_accuracy=record["train_accuracy"],
            test_accuracy=record["test_accuracy"],
            adversarial_accuracy=float(right.mean()) if len(right) else None,
            adversarial_frequency=frequency.share,
            adversarial_frequency_low=frequency.low,
            adversarial_frequency_high=frequency.high,
            attack_runs=frequency.tried,
            attacked_images=frequency.images,
            attacks={run.attack: adversarial_frequency([run]).share for run in runs[role]},
            seconds=record["seconds"],
        )
    return measured, compare_frequencies(runs, config.seed)


def _against_best(compared: OnAdversarialSet | None) -> dict[str, Any]:
    """Return what the key "program" says of the program and the best version on the whole set."""
    if compared is None:
        return dict.fromkeys(("against_best", "accuracy_low", "accuracy_high"))
    share = compared.shares["program"]
    return {
        "against_best": compared.program_and_best_individual,
        "accuracy_low": share.low,
        "accuracy_high": share.high,
    }


def _transfer(
    place: StudyFolder, versions: list[TrainedVersion], adversarial: AdversarialSet
) -> tuple[dict[str, dict[str, float | None]], TransferMatrix]:
    """Return each version's accuracies on the set, and each version's on each other one's."""
    predictions = (read_outputs(place.outputs(v.name)).argmax(dim=1) for v in versions)
    names = [version.name for version in versions]
    transfer = transfer_matrix(predictions, names, adversarial)
    accuracies = {
        name: {
            "adversarial_accuracy": _number(transfer.overall[index]),
            "adversarial_accuracy_own": _number(transfer.own[index]),
            "adversarial_accuracy_others": _number(transfer.others[index]),
        }
        for index, name in enumerate(names)
    }
    return accuracies, TransferMatrix.model_validate(transfer.to_json())


def _number(value: float) -> float | None:
    return float(value) if value == value else None


def _with_certificates(
    measured: Mapping[str, Network], certification: Certification
) -> dict[str, Network]:
    """Return both with mean radii in the plain ball, or where only the box is there, in the box."""
    norms = certification.norms or certification.norms_box
    found = {}
    for role, network in measured.items():
        radii = {norm: getattr(pair, role).mean for norm, pair in norms.items()}
        means = {f"certified_l{norm}": radii.get(norm) for norm in ("1", "2")}
        means |= {"certified_linf": radii["inf"]} if "inf" in radii else {}
        found[role] = network.model_copy(update=means)
    return found


def _distillation(
    config: StudyConfig,
    place: StudyFolder,
    measured: Mapping[str, Network],
    accuracies: Mapping[str, Mapping[str, float | None]],
) -> Distillation:
    others = [row["adversarial_accuracy"] for row in accuracies.values()]
    accuracy = measured["student"].adversarial_accuracy
    known = [other for other in others if other is not None]
    place_among = None if accuracy is None else rank(accuracy, known)
    recipe = load_recipe(config.distillation.recipe or config.versions.recipe)
    return Distillation(
        architecture=(place.network("student") / "architecture.txt").read_text("utf-8"),
        recipe=recipe.name,
        objective=config.distillation.objective,
        baseline=measured["baseline"],
        student=measured["student"],
        student_rank=place_among.rank if place_among else None,
        student_rank_tied=place_among.tied if place_among else None,
        rank_of=len(known) + 1,
    )
