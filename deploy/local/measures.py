"""What has come of referrals at every stage, from the services' own /metrics: works against any stack."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping

import httpx
from rich.progress_bar import ProgressBar
from rich.table import Table

STAGES = (
    ("posted", "referrals posted"),
    ("accepted", "accepted: encrypted, durable, answered 202"),
    ("told", "events told by intake: who is who decided"),
    ("proposed", "proposed by the partnership's policy"),
    ("allocated", "allocated, or told anew: consent decided who leads"),
    ("granted", "permits granted"),
    ("approached", "people approached, each with a permit"),
    ("refused", "permits refused"),
    ("second", "of these second approaches that did not happen"),
    ("withdrawn", "withdrawals in force"),
)
# A stage's counter: the service that has it, and its name.
COUNTERS = {
    "told": ("intake", "onefriend_events_published_total"),
    "proposed": ("allocation", "onefriend_cases_proposed_total"),
    "allocated": ("allocation", "onefriend_cases_allocated_total"),
    "granted": ("consent", "onefriend_permits_granted_total"),
    "refused": ("consent", "onefriend_permits_refused_total"),
    "second": ("consent", "onefriend_second_approaches_refused_total"),
    "withdrawn": ("consent", "onefriend_withdrawals_in_force_total"),
}
BACKLOG = {"waiting to be told": "onefriend_outbox_unsent", "waiting to be read": "onefriend_consumer_lag"}
OVER = 5.0  # seconds over which a rate is taken


def total(text: str, name: str) -> float:
    """Return the sum of a counter or gauge over its labels, in Prometheus' text format."""
    found = 0.0
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] == name:
            found += float(value)
    return found


class Stages:
    """The counts since the run began, as the live view shows them."""

    def __init__(self, expected: int) -> None:
        """`expected`: how many referrals a full bar stands for."""
        self.counts: Counter[str] = Counter()
        self.backlog: dict[str, float] = {}
        self._expected = expected
        self._last: dict[str, float] = {}
        self._past: deque[tuple[float, dict[str, int]]] = deque()

    async def look(self, http: httpx.AsyncClient, urls: Mapping[str, str], *, first: bool = False) -> None:
        """Read every service's metrics; at the `first` look only to know where they stand.

        A counter that is smaller than before belongs to a service that was started again: it counts from nought.
        """
        pages = {name: (await http.get(f"{url}/metrics")).text for name, url in urls.items()}
        for stage, (service, name) in COUNTERS.items():
            now = total(pages[service], name)
            before = self._last.get(stage, 0.0)
            self._last[stage] = now
            if not first:
                self.counts[stage] += round(now - before if now >= before else now)
        for what, gauge in BACKLOG.items():
            self.backlog[what] = sum(total(page, gauge) for page in pages.values())
        self._past.append((time.monotonic(), dict(self.counts)))
        while self._past and self._past[0][0] < time.monotonic() - OVER:
            self._past.popleft()

    def rate(self, stage: str) -> float:
        """Return how many a second, lately."""
        if len(self._past) < 2:  # noqa: PLR2004 - a rate lies between two looks
            return 0.0
        (began, first), (ended, last) = self._past[0], self._past[-1]
        return (last.get(stage, 0) - first.get(stage, 0)) / (ended - began)

    def __rich__(self) -> Table:
        """Return what is drawn."""
        table = Table(box=None, show_header=False, padding=(0, 1))
        for stage, text in STAGES:
            count = self.counts[stage]
            bar = ProgressBar(total=max(1, self._expected), completed=min(count, self._expected), width=30)
            table.add_row(f"[bold]{count:>7}[/]", f"[dim]{self.rate(stage):6.1f}/s[/]", bar, text)
        for what, waiting in self.backlog.items():
            table.add_row(f"{waiting:>7.0f}", "", "", f"[dim]events {what}[/]")
        return table
