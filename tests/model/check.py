"""Check the model: every configuration must hold, every wrong variant must fail, every action must happen.

python -m tests.model.check --small          what continuous integration runs (minutes)
python -m tests.model.check --full           the full bounds, and the wrong variants
python -m tests.model.check --only release   one configuration or one wrong variant, with its story
python -m tests.model.check --stories        print the story of every wrong variant
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.model import tlc
from tests.model.configurations import CONFIGURATIONS, Configuration
from tests.model.mutants import MUTANTS, Mutant, text

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
NOT_ACTIONS = {"Init"}


@dataclass(frozen=True)
class Outcome:
    """One run and what it was: a configuration, or a wrong variant of one."""

    configuration: Configuration
    mutant: Mutant | None
    result: tlc.Result

    @property
    def name(self) -> str:
        """What the tables call it."""
        return self.mutant.name if self.mutant else self.configuration.name

    @property
    def right(self) -> bool:
        """A configuration must hold; a wrong variant must not."""
        return (self.result.violated is None) == (self.mutant is None)


def check(
    configuration: Configuration,
    size: str,
    mutant: Mutant | None = None,
    job: tlc.Job | None = None,
    progress: tuple[Progress, TaskID] | None = None,
) -> Outcome:
    """Run one configuration, or one wrong variant of it, in bounds of `size`."""
    tell = (
        (lambda line: progress[0].update(progress[1], told=_short(line)))
        if progress
        else (lambda _line: None)
    )
    run = job or tlc.Job(configuration.module, text(configuration, size, mutant))
    result = tlc.run(run, tell)
    if mutant is None and result.violated:  # tell it as a story: once more, with sentences
        told = tlc.run(tlc.Job(configuration.module, text(configuration, size, told=True), heap="4g"))
        result = told if told.violated else result
    return Outcome(configuration, mutant, result)


def mutants(chosen: Sequence[Mutant] = MUTANTS) -> list[tuple[Configuration, Mutant]]:
    """Each wrong variant with the configuration that it is a variant of."""
    by_name = {configuration.name: configuration for configuration in CONFIGURATIONS}
    return [(by_name[mutant.where], mutant) for mutant in chosen]


def never_happened(outcomes: Sequence[Outcome]) -> set[str]:
    """Actions that no configuration ever took: a part of the model that proves nothing."""
    taken: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.mutant is None:
            taken.update(outcome.result.actions)
    return {action for action, times in taken.items() if not times} - ONLY_WRONG - NOT_ACTIONS


def _short(line: str) -> str:
    return line.split(": ", 1)[-1].split("(", 1)[0] + "states so far"


def _run_all(size: str, only: set[str], console: Console, *, with_mutants: bool) -> list[Outcome]:
    work: list[tuple[Configuration, Mutant | None]] = [
        (configuration, None) for configuration in CONFIGURATIONS if not only or configuration.name in only
    ]
    if with_mutants:
        work += [pair for pair in mutants() if not only or pair[1].name in only]
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress, ThreadPoolExecutor(2) as pool:

        def one(configuration: Configuration, mutant: Mutant | None) -> Outcome:
            name = mutant.name if mutant else configuration.name
            task = progress.add_task(name, told="")
            job = None
            if size == "full" and mutant is None:
                job = tlc.Job(
                    configuration.module, text(configuration, size), workers=2, heap="5g", quick=False
                )
            outcome = check(configuration, size if mutant is None else "small", mutant, job, (progress, task))
            progress.remove_task(task)
            console.print(_line(outcome))
            return outcome

        if size == "small":
            return list(pool.map(lambda pair: one(*pair), work))
        # Full bounds have the machine to themselves, one after another; the wrong variants share it.
        large = [one(configuration, None) for configuration, mutant in work if mutant is None]
        return large + list(pool.map(lambda pair: one(*pair), [pair for pair in work if pair[1]]))


def _line(outcome: Outcome) -> str:
    found = outcome.result.violated or "holds"
    verdict = "ok   " if outcome.right else "WRONG"
    return f"{verdict} {outcome.name}: {outcome.result.distinct:,} states, {outcome.result.seconds:.1f} s, {found}"


def _configurations_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(
        "configuration", "what", "distinct states", "transitions", "depth", "seconds", "actions", "result"
    )
    for column in table.columns[2:7]:
        column.justify = "right"
    for outcome in outcomes:
        result = outcome.result
        taken = sum(1 for action, times in result.actions.items() if times and action not in NOT_ACTIONS)
        row = (
            f"{result.distinct:,}",
            f"{result.generated:,}",
            str(result.depth),
            f"{result.seconds:.0f}",
            str(taken),
        )
        table.add_row(outcome.name, outcome.configuration.about, *row, result.violated or "holds")
    table.add_section()
    results = [outcome.result for outcome in outcomes]
    table.add_row(
        "together", "", f"{sum(r.distinct for r in results):,}", f"{sum(r.generated for r in results):,}", "",
        f"{sum(r.seconds for r in results):.0f}", "", "",
    )  # fmt: skip
    return table


def _mutants_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("wrong variant", "the rule that it switches off", "fails", "states", "steps", "seconds")
    for outcome in outcomes:
        if outcome.mutant:
            result = outcome.result
            broken = outcome.mutant.breaks if result.violated else "SURVIVED"
            row = (f"{result.distinct:,}", str(len(result.story)), f"{result.seconds:.0f}")
            table.add_row(outcome.name, outcome.mutant.rule, broken, *row)
    return table


def story(outcome: Outcome) -> str:
    """A counterexample as plain sentences."""
    steps = [f"  {number:>2}. {sentence}." for number, sentence in enumerate(outcome.result.story, 1)]
    if outcome.mutant:
        head = f"{outcome.name}: without the rule that {outcome.mutant.rule}, {outcome.mutant.breaks} fails:"
    else:
        head = f"{outcome.name}: {outcome.result.violated}"
    return "\n".join([head, *steps])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 only if everything came out as it must."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", dest="size", action="store_const", const="small", default="small")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--no-mutants", action="store_true")
    parser.add_argument("--stories", action="store_true")
    options = parser.parse_args(arguments)
    known = {item.name for item in (*CONFIGURATIONS, *MUTANTS)}
    if unknown := set(options.only) - known:
        parser.error(
            f"--only {', '.join(sorted(unknown))}: no such name; there are {', '.join(sorted(known))}"
        )

    console = Console(width=None if sys.stdout.isatty() else 180)
    run = partial(_run_all, options.size, set(options.only), console)
    outcomes = run(with_mutants=not options.no_mutants)
    told = [o for o in outcomes if o.result.story and (options.stories or options.only or not o.right)]
    for outcome in told:
        console.print(story(outcome), highlight=False)
    plain = [outcome for outcome in outcomes if outcome.mutant is None]
    if plain:
        console.print(_configurations_table(plain))
    if any(outcome.mutant for outcome in outcomes):
        console.print(_mutants_table(outcomes))
    idle = set() if options.only else never_happened(outcomes)
    if idle:
        console.print(f"actions that never happened: {', '.join(sorted(idle))}")
    return 0 if all(outcome.right for outcome in outcomes) and not idle else 1


if __name__ == "__main__":
    sys.exit(main())
