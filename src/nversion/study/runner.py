"""A whole study, stage by stage: each receives values from the ones before it.

versions -> attacks and the adversarial set -> program -> reliability -> faults ->
distillation -> evaluation -> whole -> certification -> replication (where it is asked for) ->
results.json. Every stage keeps what is done and makes what is not, so that running a study again
after an interruption, or with another setting, does only what is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nversion.arguments import typed
from nversion.datasets import load_dataset
from nversion.errors import ArtefactError, ConfigError, StudyError
from nversion.files import read_object, write_json
from nversion.study.config import (
    StudyConfig,
    load_config,
    make_config,
    save_config,
    seen_from,
    without_folders,
)
from nversion.study.context import AttackPlan, Study
from nversion.study.facts import study_section, version_rows
from nversion.study.folder import StudyFolder
from nversion.study.former import keep_former
from nversion.study.questions import answer_questions
from nversion.study.sections import (
    AdversarialSetFacts,
    AttackRow,
    Comparisons,
    Example,
    Program,
    Replicated,
    Results,
)
from nversion.study.settings import VersionsSection
from nversion.study.stages.adopting import make_versions, study_sources, with_class_names
from nversion.study.stages.attacking import (
    BuiltSet,
    attack_versions,
    build_set,
    correct_on_test_images,
)
from nversion.study.stages.attacking_certified import attack_certified
from nversion.study.stages.by_class import answers_by_class
from nversion.study.stages.certifying import certify_networks
from nversion.study.stages.certifying_votes import certify_vote
from nversion.study.stages.comparing import compare
from nversion.study.stages.distilling import distil
from nversion.study.stages.evaluating import distillation_section, evaluate_networks
from nversion.study.stages.failing import measure_reliability
from nversion.study.stages.planting import plant_into_versions
from nversion.study.stages.replicating import replicate_networks, replicated_architecture
from nversion.study.stages.training import study_architectures
from nversion.study.stages.under_attack import measure_under_attack
from nversion.study.stages.voting import measure_program, measure_transfer
from nversion.study.stages.whole import attack_whole
from nversion.study.twins import compare_twins
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.trained import TrainedVersion
from nversion.workers import Where, open_pool

__all__ = ["run_study"]


@typed
def run_study(
    config: StudyConfig,
    folder: str | Path,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Results:
    """Run a study in `folder`, or go on with it, and return its results.

    Args:
        config: what to run; paths of files in it are as seen from here, and what is written into
            the folder has them as seen from there.
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
    architectures = study_architectures(config, data)
    sources = study_sources(config, data, architectures)
    data = with_class_names(data, sources)
    if config.replication.repeats:
        replicated_architecture(config, data)
    told = seen_from(config.model_dump(mode="json"), Path(), place.root)
    config = config.model_copy(update={"versions": VersionsSection(**told["versions"])})
    with open_pool(where.workers, where.engine, where.address) as pool, place.locked():
        _claim(place, config, say)
        units = UnitRunner(place, pool, say)
        with units.sharing(data) as shared:
            results = _run(Study.of(config, architectures, data, shared, units, sources))
        write_json(place.results, results.to_json())
        if not units.made:
            say("everything was there: nothing was made again")
        return results


def _check_owner(place: StudyFolder, config: StudyConfig) -> None:
    """Raise StudyError if the folder belongs to a study of another dataset."""
    before = _dataset_of(place)
    # Results name a file without its folder.
    if before not in (None, config.dataset, without_folders(config.dataset)):
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
    if kept := keep_former(place, config):
        say(f"the report of the settings before is kept in {place.relative(kept)}")
    save_config(config, place.config)


def _run(study: Study) -> Results:
    """Run the stages in their order, and gather what they found."""
    with study.units.stage("versions"):
        versions = make_versions(study)
    with study.units.stage("attacks"):
        known = ((version, correct_on_test_images(version, study.data)) for version in versions)
        runs = attack_versions(study, study.attacks, known)
        built = build_set(study, study.attacks, runs)
    with study.units.stage("program"):
        voted = measure_program(study, versions, built.adversarial)
    with study.units.stage("reliability"):
        reliability = measure_reliability(study, versions, voted, built.adversarial)
    with study.units.stage("faults"):
        faults = plant_into_versions(study, voted.outputs)
    with study.units.stage("distillation"):
        networks = distil(study, versions)
    with study.units.stage("evaluation"):
        evaluated = evaluate_networks(study, networks, built.adversarial)
        under_attack = measure_under_attack(study, runs)
        by_class = answers_by_class(study, voted.verdicts, voted.outputs, evaluated.outputs)
        compared = compare(study, voted, evaluated.outputs, built.adversarial)
    accuracies, transfer = measure_transfer(voted.outputs, built.adversarial)
    with study.units.stage("whole"):
        others = {name: row["adversarial_accuracy_others"] for name, row in accuracies.items()}
        whole = attack_whole(study, versions, networks, others)
    with study.units.stage("certification"), study.units.on_processor():
        radii = certify_networks(study, networks)
        certification = radii.model_copy(update={"program": certify_vote(study, versions)})
    with study.units.stage("certification"):
        certification = attack_certified(study, networks, certification)
    replication = _replicated(study, versions)
    results = Results(
        study=study_section(study, len(versions)),
        versions=version_rows(study, accuracies),
        attacks=[AttackRow.model_validate(row.to_json()) for row in built.table],
        adversarial_set=_set_facts(built, study.attacks),
        under_attack=under_attack,
        transfer=transfer,
        program=_against_best(voted.program, compared).model_copy(
            update={"whole": whole, "faults": faults}
        ),
        reliability=reliability,
        by_class=by_class,
        comparisons=compared.model_copy(update={"frequency": evaluated.frequency}),
        distillation=distillation_section(study, evaluated.networks, certification, accuracies),
        certification=certification,
        example=_example(built),
    )
    if replication is not None:
        results = results.model_copy(update={"replication": replication})
    return _judged(results)


def _replicated(study: Study, versions: Sequence[TrainedVersion]) -> Replicated | None:
    """Return the study's replication, or what ``nversion distil`` left in its folder, if any."""
    if not study.config.replication.repeats:
        return Replicated.found(study.folder.replication)
    with study.units.stage("replication"), study.units.on_processor():
        return replicate_networks(study, versions)


def _judged(results: Results) -> Results:
    """Return results with what follows from them: the rows of table III, and the answers."""
    rows = {"comparison": compare_twins(results)}
    compared = {"distillation": results.distillation.model_copy(update=rows)}
    judged = results.model_copy(update=compared)
    return judged.model_copy(update={"questions": answer_questions(judged)})


def _set_facts(built: BuiltSet, plan: AttackPlan) -> AdversarialSetFacts:
    adversarial = built.adversarial
    return AdversarialSetFacts(
        size=len(adversarial),
        source_images=adversarial.source_images,
        per_attack=adversarial.per_attack,
        per_version=adversarial.per_version,
        storable=adversarial.storable,
        perceptibility_rule=plan.rule.explain(),
    )


def _example(built: BuiltSet) -> Example | None:
    if built.example is None:
        return None
    return Example.model_validate(built.example.to_json(built.table))


def _against_best(program: Program, comparisons: Comparisons) -> Program:
    """Return the section with what is known of program and best version on the whole set."""
    known: dict[str, Any] = dict.fromkeys(("against_best", "accuracy_low", "accuracy_high"))
    if comparisons.adversarial is not None:
        share = comparisons.adversarial.shares["program"]
        known = {
            "against_best": comparisons.adversarial.program_and_best_individual,
            "accuracy_low": share.low,
            "accuracy_high": share.high,
        }
    return program.model_copy(update=known)
