"""What the checker tells: lines, stories and tables, on the terminal and as Markdown for the documentation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.model import tlc
from tests.model.configurations import INVARIANTS, LIVENESS, STEPS, Configuration
from tests.model.mutants import Mutant

NOT_ACTIONS = {"Init"}

Row = tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """One run and what it was: a configuration in bounds of one size, or a wrong variant of it."""

    configuration: Configuration
    size: str
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

    @property
    def taken(self) -> set[str]:
        """The actions that happened in it; empty where they were not counted."""
        return {action for action, times in self.result.actions.items() if times} - NOT_ACTIONS


def line(outcome: Outcome) -> str:
    """What is said of a run as soon as it has ended."""
    found = outcome.result.violated or "holds"
    verdict = "ok   " if outcome.right else "WRONG"
    size = "" if outcome.mutant else f" ({outcome.size})"
    return (
        f"{verdict} {outcome.name}{size}: {outcome.result.distinct:,} states, "
        f"{outcome.result.seconds:.1f} s of one core, {found}"
    )


def story(outcome: Outcome) -> str:
    """A counterexample as plain sentences."""
    steps = [f"  {number:>2}. {sentence}." for number, sentence in enumerate(outcome.result.story, 1)]
    if outcome.mutant:
        head = f"{outcome.name}: without the rule that {outcome.mutant.rule}, {outcome.mutant.breaks} fails:"
        if steps:
            steps.append(f"      Now {outcome.mutant.harm}.")
    else:
        head = f"{outcome.name}: {outcome.result.violated}"
    return "\n".join([head, *steps])


def bounds(configuration: Configuration, size: str) -> str:
    """The bounds of a configuration, in words."""
    given = configuration.constants(size)
    if configuration.module != "Contact":
        return ", ".join(f"{name} {value}" for name, value in given.items())
    counted = [
        _count(given["Agencies"].count('"') // 2, "agency", "agencies"),
        _count(int(given["MaxPermits"]), "permit", "permits"),
        _count(int(given["MaxLog"]), "event a person", "events a person"),
    ]
    if int(given["MaxLinks"]):
        counted.append(_count(int(given["MaxLinks"]), "link decision", "link decisions"))
    counted += ["keys meet"] * (given["KeysMeet"] == "TRUE") + ["one telephone"] * (
        given["OnePhone"] == "TRUE"
    )
    return ", ".join(counted)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def properties(configuration: Configuration) -> str:
    """The properties that are checked in it, by their short names; a star says that one of them is a liveness."""
    module = configuration.module
    live = {name.split("_")[0] + "*" for name in LIVENESS[module]} if configuration.live else set()
    safe = {name.split("_")[0] for name in (*INVARIANTS[module], *STEPS[module])}
    return " ".join(sorted(safe | live))


CONFIGURATIONS_HEAD = (
    "configuration", "what", "bounds", "distinct states", "transitions", "depth", "core s", "actions",
    "properties", "result",
)  # fmt: skip
MUTANTS_HEAD = (
    "wrong variant",
    "without the rule that",
    "in",
    "breaks",
    "so that",
    "steps",
    "states",
    "core s",
)


def configuration_rows(outcomes: Sequence[Outcome]) -> Iterable[Row]:
    """One row for each configuration in the largest bounds that ran, and their sum."""
    plain = [outcome for outcome in outcomes if outcome.mutant is None]
    largest = {outcome.name: outcome for outcome in sorted(plain, key=lambda o: o.size == "full")}
    taken = {outcome.name: len(outcome.taken) for outcome in plain if outcome.taken}
    for name, outcome in largest.items():
        result, configuration = outcome.result, outcome.configuration
        yield (
            name, configuration.about, bounds(configuration, outcome.size), f"{result.distinct:,}",
            f"{result.generated:,}", str(result.depth), f"{result.seconds:.0f}", str(taken.get(name, "")),
            properties(configuration), result.violated or "holds",
        )  # fmt: skip
    results = [outcome.result for outcome in largest.values()]
    yield (
        "together", "", "", f"{sum(r.distinct for r in results):,}", f"{sum(r.generated for r in results):,}", "",
        f"{sum(r.seconds for r in results):.0f}", "", "", "",
    )  # fmt: skip


def mutant_rows(outcomes: Sequence[Outcome]) -> Iterable[Row]:
    """One row for each wrong variant."""
    for outcome in outcomes:
        if outcome.mutant:
            result = outcome.result
            broken = outcome.mutant.breaks if result.violated else "SURVIVED"
            yield (
                outcome.name, outcome.mutant.rule, outcome.configuration.name, broken, outcome.mutant.harm,
                str(len(result.story)), f"{result.distinct:,}", f"{result.seconds:.0f}",
            )  # fmt: skip


def table(head: Row, rows: Iterable[Row]) -> Table:
    """A table for the terminal; columns of numbers are set to the right."""
    made = Table(*head)
    numbers = {"distinct states", "transitions", "depth", "core s", "actions", "steps", "states"}
    for column in made.columns:
        if column.header in numbers:
            column.justify = "right"
    for row in rows:
        made.add_row(*row)
    return made


def markdown(head: Row, rows: Iterable[Row]) -> str:
    """The same for the documentation."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"
