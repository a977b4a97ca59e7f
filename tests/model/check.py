"""Check the model: every configuration must hold, every wrong variant must fail, every action must happen.

python -m tests.model.check --small          what continuous integration runs (minutes)
python -m tests.model.check --full           both bounds, and the wrong variants
python -m tests.model.check --only release   one configuration or one wrong variant, with its story
python -m tests.model.check --stories        print the story of every wrong variant

Actions are counted in the small bounds, which lie within the full ones: counting takes as long again as checking.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.model import report, tlc
from tests.model.configurations import CONFIGURATIONS, Configuration
from tests.model.elements import ELEMENTS, Element
from tests.model.kept import Kept
from tests.model.mutants import MUTANTS, Mutant, text
from tests.model.report import Outcome

#: Actions that exist only for a wrong variant: they must never happen in the protocol itself.
ONLY_WRONG = {
    "CommitOffsetFirst",
    "ExpireRedeemed",
    "ForgetWithdrawal",
    "RedeemAnew",
    "RedeemPastIntake",
    "Replay",
    "Retry",
}
#: One run: a configuration, the size of its bounds, and the wrong variant, if it is one.
Run = tuple[Configuration, str, Mutant | None]


def check(
    configuration: Configuration,
    size: str,
    mutant: Mutant | None = None,
    tell: Callable[[str], None] = lambda _line: None,
    kept: Kept | None = None,
) -> Outcome:
    """Run one configuration, or one wrong variant of it, in bounds of `size`, unless its result is kept already."""
    long = size == "full" and mutant is None
    job = tlc.Job(
        configuration.module,
        text(configuration, size, mutant),
        heap="4g" if long else "2g",
        quick=not long,
    )
    kept = kept or Kept()
    if (known := kept.find(job)) is not None:
        return Outcome(configuration, size, mutant, known)
    result = tlc.run(job, tell)
    if mutant is None and result.violated:  # tell it as a story: once more, with sentences
        told = tlc.run(tlc.Job(configuration.module, text(configuration, size, told=True), heap="4g"))
        result = told if told.violated else result
    kept.keep(job, result)
    return Outcome(configuration, size, mutant, result)


def mutants(chosen: Sequence[Mutant] = MUTANTS) -> list[tuple[Configuration, Mutant]]:
    """Each wrong variant with the configuration that it is a variant of."""
    by_name = {configuration.name: configuration for configuration in CONFIGURATIONS}
    return [(by_name[mutant.where], mutant) for mutant in chosen]


def amiss(outcomes: Sequence[Outcome]) -> set[str]:
    """What the counted actions tell against the model: each entry is a sentence.

    An action that no configuration ever took proves nothing; one that exists only for a wrong variant must not be taken
    without it; and a module in which nothing was counted at all has not been looked at.
    """
    counted = [outcome for outcome in outcomes if outcome.mutant is None and outcome.result.actions]
    taken: Counter[str] = Counter()
    for outcome in counted:
        taken.update(outcome.result.actions)
    uncounted = {c.module for c in CONFIGURATIONS} - {outcome.configuration.module for outcome in counted}
    return (
        {
            f"{action} never happened"
            for action, times in taken.items()
            if not times and action not in ONLY_WRONG
        }
        | {f"{action} happened, and belongs to a wrong variant" for action in ONLY_WRONG if taken[action]}
        | {f"no action of {module} was counted" for module in uncounted}
        | {
            f"{action} never happened where {e.name} should be"
            for e in ELEMENTS
            for action in _missing(e, counted)
        }
    )


def _missing(element: Element, counted: Sequence[Outcome]) -> set[str]:
    there = [outcome.taken for outcome in counted if outcome.name in element.where]
    return set(element.actions).difference(*there)


def planned(size: str, only: set[str], *, with_mutants: bool) -> list[Run]:
    """What is to be run, in order: small bounds (in which actions are counted), wrong variants, full bounds."""
    chosen = [c for c in CONFIGURATIONS if not only or c.name in only]
    runs: list[Run] = [(c, "small", None) for c in chosen]
    if with_mutants:
        runs += [(c, "small", mutant) for c, mutant in mutants() if not only or mutant.name in only]
    if size == "full":
        runs += [(c, "full", None) for c in chosen]
    return runs


def _run_all(runs: Sequence[Run], jobs: int, kept: Kept, console: Console) -> list[Outcome]:
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[told]}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(jobs) as pool:

        def one(run: Run) -> Outcome:
            configuration, size, mutant = run
            task = progress.add_task(mutant.name if mutant else f"{configuration.name} ({size})", told="")
            outcome = check(*run, tell=lambda line: progress.update(task, told=_short(line)), kept=kept)
            progress.remove_task(task)
            console.print(report.line(outcome))
            return outcome

        return list(pool.map(one, runs))


def _short(progress: str) -> str:
    return progress.split(": ", 1)[-1].split("(", 1)[0] + "states so far"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", dest="size", action="store_const", const="small", default="small")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--no-mutants", action="store_true")
    parser.add_argument("--stories", action="store_true")
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at once, each on one core (2)")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="keep each result there, and go on where a run was stopped"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write tables and stories there, as Markdown"
    )
    options = parser.parse_args(arguments)
    known = {item.name for item in (*CONFIGURATIONS, *MUTANTS)}
    if unknown := set(options.only) - known:
        parser.error(
            f"--only {', '.join(sorted(unknown))}: no such name; there are {', '.join(sorted(known))}"
        )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 only if everything came out as it must."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 200)
    runs = planned(options.size, set(options.only), with_mutants=not options.no_mutants)
    outcomes = _run_all(runs, options.jobs, Kept(options.keep), console)
    told = [o for o in outcomes if o.result.story and (options.stories or options.only or not o.right)]
    for outcome in told:
        console.print(report.story(outcome), highlight=False)
    configurations = list(report.configuration_rows(outcomes))
    variants = list(report.mutant_rows(outcomes))
    console.print(report.table(report.CONFIGURATIONS_HEAD, configurations))
    if variants:
        console.print(report.table(report.MUTANTS_HEAD, variants))
    if options.report:
        tables = [
            report.markdown(report.CONFIGURATIONS_HEAD, configurations),
            report.markdown(report.MUTANTS_HEAD, variants),
        ]
        stories = [report.story(outcome) for outcome in outcomes if outcome.result.story]
        options.report.write_text("\n".join([*tables, "```", *stories, "```", ""]))
    wrong = set() if options.only else amiss(outcomes)
    for sentence in sorted(wrong):
        console.print(sentence)
    return 0 if all(outcome.right for outcome in outcomes) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
