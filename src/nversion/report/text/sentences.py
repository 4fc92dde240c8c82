"""One sentence beside each figure and table, made from the numbers and never from hopes.

Each function takes the results and returns the sentence that they support, or None where they
lack what it would rest on. A difference that the data cannot tell from chance is called "not
distinguishable"; an absent correlation is not claimed from a high p-value.
"""

from __future__ import annotations

import statistics

from nversion.evaluation.comparisons import Correlation, rank_correlation
from nversion.report.example import example_of
from nversion.report.text.twins import told_apart
from nversion.report.values import (
    MISSING,
    change,
    count,
    decimal,
    duration,
    join,
    ordinal,
    p_value,
    percent,
    plural,
    points,
    rounded_percent,
)
from nversion.study.sections import AttackRow, Results

__all__ = [
    "adversarial_drop",
    "attack_effectiveness",
    "attack_example",
    "correlation",
    "effectiveness_interval",
    "program_gain",
    "stage_times",
    "student_rank",
    "test_accuracy",
    "transfer",
    "version_sizes",
]

_SIGNIFICANT = 0.05


def test_accuracy(results: Results) -> str | None:
    """Say where the versions' test accuracies lie (figure 2)."""
    found = (version.test_accuracy for _, version in results.trained)
    values = [value for value in found if value is not None]
    if not values:
        return None
    failed = len(results.versions) - len(results.trained)
    rest = f"; {plural(failed, 'version')} failed and {'is' if failed == 1 else 'are'} left out"
    rest = rest if failed else ""
    if len(values) == 1:
        return f"The one version is right on {percent(values[0])} of the test images{rest}."
    return (
        f"The {len(values)} versions are right on {percent(min(values))} to {percent(max(values))} "
        f"of the test images, half of them on {percent(statistics.median(values))} or more{rest}."
    )


def attack_example(results: Results) -> str | None:
    """Say what the attacks made of the example, and which are not in the set and why (figure 3)."""
    example = example_of(results)
    if example is None:
        return None
    found = [attack for attack in example.attacks if attack.image is not None]
    tried = len(example.attacks)
    succeed = f"all {tried} succeed" if len(found) == tried else f"{len(found)} of {tried} succeed"
    said = (
        f"No attacked image falls to more attacks than test image {example.test_index}, of class "
        f"{example.label}, attacked on {example.version}: {succeed}"
    )
    sizes = sorted((attack.l2, attack.name) for attack in found if attack.l2 is not None)
    if len(sizes) > 1:
        (least, best), (most, worst) = sizes[0], sizes[-1]
        said += (
            f"; {best} changes it least in L2 ({decimal(least)}), {worst} most ({decimal(most)})"
        )
    left_out = [f"{attack.name} ({attack.reason})" for attack in example.attacks if attack.reason]
    if left_out:
        return f"{said}. Left out of the adversarial set: {join(left_out)}."
    return f"{said}. All of them are in the adversarial set."


def adversarial_drop(results: Results) -> str | None:
    """Say for how many versions the adversarial accuracy is the lower one (figure 4)."""
    pairs = _pairs(results)
    if not pairs:
        return None
    lower = sum(adversarial < test for test, adversarial in pairs)
    drop = statistics.median(test - adversarial for test, adversarial in pairs)
    change = f"{points(drop)} {'lower' if drop >= 0 else 'higher'}"
    if len(pairs) == 1:
        return f"The one version's accuracy is {change} on the adversarial images."
    if lower == len(pairs):
        who = f"All {lower} versions are"
    elif lower == 0:
        who = f"None of the {len(pairs)} versions is"
    else:
        who = f"{lower} of the {len(pairs)} versions {'is' if lower == 1 else 'are'}"
    return (
        f"{who} less accurate on the adversarial images than on the test images; the median "
        f"version is {change} there."
    )


def correlation(results: Results) -> str | None:
    """Say whether test accuracy tells anything about adversarial accuracy (figure 4b)."""
    pairs = _pairs(results)
    if not pairs:
        return None
    if len(pairs) < 3:
        return (
            f"{plural(len(pairs), 'version').capitalize()} cannot show whether test accuracy "
            "and adversarial accuracy go together."
        )
    found = rank_correlation([test for test, _ in pairs], [adversarial for _, adversarial in pairs])
    if found is None:
        return "A correlation cannot be computed: all versions have the same accuracy on one side."
    return _correlation(found)


def _correlation(found: Correlation) -> str:
    rho = f"Spearman's \u03c1\u00a0=\u00a0{_rho(found.rho)}"
    shown = f"{rho}, {p_value(found.p)}, {found.pairs} versions"
    if found.p >= _SIGNIFICANT:
        few = " (so few versions could hide a moderate one)" if found.pairs < 30 else ""
        return f"No correlation can be told from chance{few}: {shown}."
    size = abs(found.rho)
    strength = "weak" if size < 0.3 else "moderate" if size < 0.6 else "strong"
    sense = "more" if found.rho > 0 else "less"
    return (
        f"Versions that are more accurate on test images tend to be {sense} accurate on "
        f"adversarial images, a {strength} correlation: {shown}."
    )


def program_gain(results: Results) -> str | None:
    """Say whether the program beats its best and its mean single version (figure 5)."""
    known = results.program
    program, mean = known.accuracy, known.mean_individual
    if program is None:
        return None
    size = len(known.accuracy_by_n if known.versions is None else known.versions)
    if size == 1:
        return (
            f"A program of one version is that version: it is right on {percent(program)} of the "
            "adversarial images."
        )
    images = results.adversarial_set.size
    said = f"The program of {size} versions is right on {percent(program)} of the "
    said += f"{count(images)} adversarial images" if images else "adversarial images"
    if mean is not None:
        side = "above" if program >= mean else "below"
        said += f", {points(program - mean)} {side} the mean of its single versions, on which "
        said += "images made against each of them weigh"
    return f"{said}. {_against_best(results, program)}".strip()


def _against_best(results: Results, program: float) -> str:
    """Say how the program does beside its best version, on images not made against that one."""
    adversarial = results.comparisons.adversarial
    if adversarial and (gain := adversarial.program_and_best_version):
        p = gain.p_picked
        sure = "more than chance" if p < _SIGNIFICANT else "not distinguishable from chance"
        return (
            f"On the {count(gain.images)} that were not made against the best version "
            f"({gain.name or MISSING}), it is right on {percent(gain.first)} and that version on "
            f"{percent(gain.second)}: {change(gain.difference, gain.low, gain.high)}, {sure} "
            f"({p_value(p)})."
        )
    best, name = results.program.best_individual, results.program.best_individual_name
    if best is None:
        return ""
    side = "above" if program > best else "below"
    gap = "as good as" if program == best else f"{points(program - best)} {side}"
    return (
        f"It is {gap} the best of them ({f'{name}, ' if name else ''}{percent(best)}) on the whole "
        "set, of which that version's share includes images made against it; no interval by test "
        "image is known."
    )


def student_rank(results: Results) -> str | None:
    """Say where the student ranks among the versions, and against its twin (figure 6)."""
    twins = results.distillation
    student, baseline = twins.student.adversarial_accuracy, twins.baseline.adversarial_accuracy
    if student is None:
        return None
    rank, of = twins.student_rank, twins.rank_of
    said = f"The student is right on {percent(student)} of the adversarial images"
    if rank is not None and of is not None:
        said += (
            f", the {ordinal(rank)} of {of} when it is ranked among the versions, which "
            "carry the images made against themselves"
        )
    if baseline is None:
        return f"{said}."
    twin = f"the baseline ({percent(baseline)})"
    if student == baseline:
        return f"{said}; it is right exactly as often as {twin}."
    gap = f"{points(student - baseline)} {'above' if student > baseline else 'below'} {twin}"
    sure = {
        None: "; no interval by test image is known",
        False: ", but not distinguishable from it",
    }
    closing = sure.get(told_apart(results, "adversarial_accuracy"), "")
    return f"{said}; it is {gap}{closing}."


def attack_effectiveness(results: Results) -> str | None:
    """Say how effective the attacks are together, and which lead (table II)."""
    known = [
        (attack.effectiveness, attack)
        for attack in results.attacks
        if attack.effectiveness is not None
    ]
    if not known:
        return None
    known.sort(key=lambda item: -item[0])
    best, top = known[0]
    name = top.name or "the first"
    if len(known) == 1:
        return f"The one attack, {name}, succeeds in {percent(best)} of its runs."
    if all(share == best for share, _ in known):
        return f"Each of the {len(known)} attacks succeeds in {percent(best)} of its runs."
    mean = statistics.fmean(share for share, _ in known)
    said = f"The {len(known)} attacks succeed in {percent(mean)} of their runs on average"
    floor, _ = effectiveness_interval(top)
    if floor is None:
        return f"{said}, {name} in {percent(best)}; no interval by test image is known."
    leading = [
        attack
        for share, attack in known
        if share == best or (effectiveness_interval(attack)[1] or 0.0) >= floor
    ]
    behind = [attack.name or "?" for _, attack in known if attack not in leading]
    if not behind:
        return f"{said}; none is distinguishable from the most effective, {name}."
    if len(behind) <= len(leading) / 2:
        return (
            f"{said}; only {join(behind)} can be told apart from the most effective, {name} "
            f"({percent(best)})."
        )
    if len(leading) > 1:
        names = join(attack.name or "?" for attack in leading)
        return f"{said}; {names} lead with up to {percent(best)}, not distinguishable among them."
    return f"{said}; {name} leads with {percent(best)}."


def effectiveness_interval(attack: AttackRow) -> tuple[float | None, float | None]:
    """Return the ends of the interval of an attack's effectiveness, None where it is not known.

    Older results hold one that takes all runs for independent; it is not shown.
    """
    if attack.test_images is None:
        return None, None
    return attack.effectiveness_low, attack.effectiveness_high


def transfer(results: Results) -> str | None:
    """Say how often an image made against one version fools another (figure 7)."""
    own: list[float] = []
    others: list[float] = []
    for source, row in zip(results.transfer.sources, results.transfer.accuracy, strict=False):
        for target, value in zip(results.transfer.targets, row, strict=False):
            if value is not None:
                (own if source == target else others).append(value)
    if not others:
        return None
    fooled = percent(1 - statistics.fmean(others))
    said = f"An image made against one version fools another in {fooled} of the cases on average"
    if own:
        said += f", and the version it was made against in {percent(1 - statistics.fmean(own))}"
    return f"{said}."


def version_sizes(results: Results) -> str | None:
    """Say how the versions differ in kind and size (the table of versions)."""
    listed = results.versions
    if not listed:
        return None
    dense = sum(version.kind == "dense" for version in listed)
    kinds = join(
        plural(amount, f"{kind} version")
        for amount, kind in ((len(listed) - dense, "convolutional"), (dense, "dense"))
        if amount
    )
    sizes = [version.parameters for version in listed if version.parameters]
    if not sizes:
        return f"The study has {kinds}."
    between = f"{count(min(sizes))} to {count(max(sizes))}"
    span = f"{count(sizes[0])}" if len(set(sizes)) == 1 else between
    return f"The study has {kinds}, with {span} parameters."


def stage_times(results: Results) -> str | None:
    """Say how long the study took, and which stage took most."""
    seconds = results.study.wall_seconds
    stages = {stage: taken for stage, taken in seconds.items() if stage != "total"}
    total = seconds.get("total") or sum(stages.values())
    if not stages or not total:
        return None
    longest = max(stages, key=lambda stage: stages[stage])
    share = rounded_percent(stages[longest] / total)
    return f"The study took {duration(total)}, of which {share} went into the stage “{longest}”."


def _pairs(results: Results) -> list[tuple[float, float]]:
    """Return (test accuracy, adversarial accuracy) of each version that has both."""
    pairs = (
        (version.test_accuracy, version.adversarial_accuracy) for _, version in results.trained
    )
    return [(test, adv) for test, adv in pairs if test is not None and adv is not None]


def _rho(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")
