"""`python -m benchmarks flow`: every figure of one run, in a table and as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.flow.beside import usual_way
from benchmarks.flow.contact import Lead, cases_of
from benchmarks.flow.raw import Raw, raw
from benchmarks.flow.run import Figures, Run, percentile
from benchmarks.flow.stack import Measured, measured
from deploy.local.hours import until_tuesday
from deploy.local.place import Place

console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = 200  # a log has no edge

# Multiples of the raw transaction, and milliseconds: what the flow is meant to stay within.
YEAR_IN_AN_HOUR = 680
TARGETS = {"at 680/s": 5.0, "saturated": 4.0, "NDJSON by 200": 3.5}
USUAL_DEARER = 10.0
LATENCY = {"p50": 60.0, "p99": 200.0}
CONTACT_P99 = 100.0
GROWTH = 1.3
DOES_NOT_GROW = "saturated"


@dataclass(frozen=True)
class Size:
    """How long a run is: referrals of each phase, people contacted, referrals stored before the last phases."""

    scale: float = 1.0
    stored: int = 0
    usual: bool = True

    def of(self, referrals: int) -> int:
        """Return a phase's number of referrals, in whole hundreds."""
        return max(200, round(referrals * self.scale / 200) * 200)


@dataclass
class Result:
    """Everything that one run showed; latencies in milliseconds, sorted."""

    machine: dict[str, Any]
    raw: list[Raw] = field(default_factory=list)
    phases: list[Figures] = field(default_factory=list)
    feed: list[float] = field(default_factory=list)
    contact: dict[str, list[float]] = field(default_factory=dict)
    contact_others: dict[str, int] = field(default_factory=dict)
    usual: Figures | None = None

    @property
    def unit(self) -> float:
        """The raw transaction: the median of its readings at the beginning and at the end."""
        readings = sorted(reading for one in self.raw for reading in one.readings)
        return float(readings[len(readings) // 2])

    def phase(self, name: str) -> Figures | None:
        """Return a phase by name."""
        return next((one for one in self.phases if one.name == name), None)

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        phases = [one.record() | {"by_raw": one.microseconds / self.unit} for one in self.phases]
        return {
            "machine": self.machine,
            "raw_microseconds": self.unit,
            "raw": [one.record() for one in self.raw],
            "phases": phases,
            "usual": self.usual.record() if self.usual else None,
            "post_to_feed_ms": _quantiles(self.feed),
            "contact_ms": {step: _quantiles(values) for step, values in self.contact.items()},
            "contact_others": self.contact_others,
        }


def _quantiles(values: list[float]) -> dict[str, float]:
    shares = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
    return {"count": len(values), **{name: percentile(values, share) for name, share in shares.items()}}


def flow(size: Size, keep: Path | None) -> int:
    """Run everything; return 1 if referrals were lost or stages disagree. Speed alone never fails a run."""
    result = asyncio.run(_run(size))
    show(result)
    if keep is not None:
        keep.write_text(json.dumps(result.record(), indent=1, default=str))
        console.print(f"\nwritten to {keep}")
    return 0 if all(one.equal for one in result.phases) else 1


async def _run(size: Size) -> Result:
    machine = {"cores": os.cpu_count(), "load_before": os.getloadavg(), "python": platform.python_version()}
    result = Result(machine)
    console.print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    async with measured(Place.default().inner("bench")) as stack:
        await _measure(stack, size, result)
    return result


async def _measure(stack: Measured, size: Size, result: Result) -> None:
    run = Run(stack)
    await stack.shift_clocks(until_tuesday().total_seconds())
    await _phase(result, run, "warming up", size.of(400), rate=100)
    result.raw.append(await _raw(stack))
    await _latency(stack, run, result, size)
    await _phase(result, run, f"at {YEAR_IN_AN_HOUR}/s", size.of(6000), rate=YEAR_IN_AN_HOUR)
    await _phase(result, run, "saturated", size.of(6000), rate=None)
    await _phase(result, run, "NDJSON by 200", size.of(6000), rate=None, lines=200, connections=4)
    await _contact(stack, run, result, size)
    if size.usual:
        console.print("  the usual way ...")
        result.usual = await usual_way(stack, max(60, round(400 * size.scale)))
    if size.stored:
        await _stored(run, size.stored, result)
        await _phase(result, run, "saturated, with more stored", size.of(6000), rate=None)
        await _phase(
            result, run, "NDJSON, with more stored", size.of(6000), rate=None, lines=200, connections=4
        )
    result.raw.append(await _raw(stack))


async def _raw(stack: Measured) -> Raw:
    found = await raw(stack.own)
    console.print(f"  raw transaction: {found.both:.0f} µs CPU, readings {found.readings}")
    return found


async def _phase(result: Result, run: Run, name: str, count: int, **how: Any) -> Figures:  # noqa: ANN401 - passed through
    console.print(f"  {name}: {count} referrals ...")
    figures = await run.phase(name, count, **how)
    said = "counts equal" if figures.equal else f"[red]counts differ: {figures.stages}[/]"
    console.print(
        f"    {figures.microseconds:.0f} µs each, {figures.rate:.0f}/s, {said}, load {figures.load:.1f}"
    )
    if not figures.equal:
        console.print(f"    [red]waiting somewhere: {await run.left() or 'nothing'}[/]")
    result.phases.append(figures)
    return figures


async def _latency(stack: Measured, run: Run, result: Result, size: Size) -> None:
    """POST to the lead agency's feed at 20/s, read by the agency's own long poll."""
    lead = Lead(stack)
    following = asyncio.create_task(lead.follow())
    figures = await _phase(result, run, "at 20/s", size.of(600), rate=20)
    following.cancel()
    await following
    sent = await cases_of(stack, figures.outcome.sent)
    result.feed = sorted(
        1000 * (lead.arrived[case] - at) for case, at in sent.items() if case in lead.arrived
    )


async def _contact(stack: Measured, run: Run, result: Result, size: Size) -> None:
    """Contact while referrals flow at 200/s."""
    lead = Lead(stack)
    following = asyncio.create_task(lead.follow())
    count = size.of(6000)
    contacting = asyncio.create_task(lead.contacts(max(20, count // 25), rate=8))
    await _phase(result, run, "at 200/s, with contact", count, rate=200)
    try:
        await asyncio.wait_for(contacting, 30)
    except (TimeoutError, OSError, EOFError):
        console.print("    [red]not everybody was contacted in time[/]")
    following.cancel()
    await asyncio.gather(contacting, following, return_exceptions=True)
    result.contact = {
        step: sorted(1000 * value for value in values) for step, values in lead.timed.seconds.items()
    }
    result.contact_others = dict(lead.timed.others)


async def _stored(run: Run, people: int, result: Result) -> None:
    """Store people by NDJSON, two of them in each referral."""
    left = people // 2
    while left > 0:
        part = min(5000, left)
        figures = await run.phase("storing", part, rate=None, lines=200, connections=4)
        left -= part
        console.print(
            f"    stored {people - 2 * left} of {people} people, {figures.microseconds:.0f} µs a referral"
        )
        if not figures.equal:
            console.print(
                f"    [red]counts differ: {figures.stages}; waiting: {await run.left() or 'nothing'}[/]"
            )
            result.phases.append(figures)
            return
    joined, held = await run.alike()
    console.print(
        f"    of all these strangers {joined} were taken for others, {held} held for a person to decide"
    )
    result.machine |= {"taken_for_others": joined, "held": held}
    journal = 0
    for pool in run.stack.pools.values():
        journal += await pool.fetchval("SELECT count(*) FROM journal")
    console.print(f"    {journal} journal rows in all")
    result.machine["journal_rows"] = journal


# --------------------------------------------------------------------------------------------- the tables


def show(result: Result) -> None:
    """Print the tables."""
    console.print(
        f"\nOne raw asyncpg insert transaction: [bold]{result.unit:.0f} µs[/] of CPU (client and server)"
    )
    console.print(_phases(result))
    console.print(_parts(result))
    console.print(_latencies(result))
    if result.contact_others:
        console.print(f"other answers while making contact: {result.contact_others}")
    console.print(f"load average at the end: {os.getloadavg()[0]:.1f}")


def _phases(result: Result) -> Table:
    table = Table(
        "phase", box=None, padding=(0, 2), title="CPU per referral, all processes", title_justify="left"
    )
    for column in ("referrals", "delivered/s", "µs", "÷ raw", "target", "counts", "load"):
        table.add_column(column, justify="right")
    for one in [*result.phases, *([result.usual] if result.usual else [])]:
        target = TARGETS.get(one.name)
        table.add_row(
            one.name,
            str(one.referrals),
            f"{one.rate:.0f}",
            f"{one.microseconds:.0f}",
            f"{one.microseconds / result.unit:.1f}",
            f"{target:g}" if target else "",
            "equal" if one.equal else "[red]differ[/]",
            f"{one.load:.1f}",
        )
    return table


def _parts(result: Result) -> Table:
    phases = [*result.phases, *([result.usual] if result.usual else [])]
    table = Table(
        "process", box=None, padding=(0, 2), title="µs per referral, by process", title_justify="left"
    )
    for one in phases:
        table.add_column(one.name, justify="right")
    for part in sorted({part for one in phases for part in one.cpu}):
        table.add_row(part, *(f"{one.by_part.get(part, 0):.0f}" for one in phases))
    return table


def _latencies(result: Result) -> Table:
    table = Table("", box=None, padding=(0, 2), title="compared", title_justify="left")
    table.add_column("found", justify="right")
    table.add_column("target", justify="right")
    feed = _quantiles(result.feed)
    for name, most in LATENCY.items():
        table.add_row(
            f"POST to the lead agency's feed at 20/s, {name}", f"{feed[name]:.0f} ms", f"{most:g} ms"
        )
    for step, values in result.contact.items():
        title = f"{step} while 200/s flow, p99 of {len(values)}"
        table.add_row(title, f"{percentile(values, 0.99):.0f} ms", f"{CONTACT_P99:g} ms")
    saturated = result.phase(DOES_NOT_GROW)
    if result.usual and saturated:
        dearer = result.usual.microseconds / saturated.microseconds
        table.add_row("the usual way costs, times saturated", f"{dearer:.1f}", f"{USUAL_DEARER:g}")
    later = result.phase("saturated, with more stored")
    if later and saturated:
        table.add_row(
            "cost with more stored, times before",
            f"{later.microseconds / saturated.microseconds:.2f}",
            f"{GROWTH:g}",
        )
    return table
