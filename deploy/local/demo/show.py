"""The live display, and the table at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)

STAGES = (
    ("posted", "referrals posted by six agencies"),
    ("accepted", "accepted: encrypted, durable, answered 202"),
    ("recognised", "recognised: who is who decided"),
    ("held", "of these on hold: a person has to look first"),
    ("cases", "cases: one for each person and incident"),
    ("proposed", "proposed by the partnership's policy"),
    ("allocated", "allocated: consent gave one agency the lead"),
    ("fed", "in the lead agency's feed"),
    ("approached", "people approached, each with a permit"),
    ("refused", "permits refused"),
)


@dataclass
class Board:
    """What the display shows: a count for each stage, and the last remarkable thing."""

    total: int
    counts: dict[str, int] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Show a line of news."""
        self.news.append(text)
        if not console.is_terminal:
            console.print(f"  {text}")

    def __rich__(self) -> Group:
        """Return what is drawn."""
        table = Table(box=None, show_header=False, padding=(0, 1))
        for stage, text in STAGES:
            count = self.counts.get(stage, 0)
            table.add_row(
                f"[bold]{count:>6}[/]", ProgressBar(total=max(1, self.total), completed=count, width=30), text
            )
        return Group(table, *(Text(f"  {line}") for line in self.news[-4:]))


def live(board: Board) -> AbstractContextManager[object]:
    """Return the live display on a terminal; nothing elsewhere."""
    return Live(board, console=console, refresh_per_second=8) if console.is_terminal else nullcontext()


def verdict(title: str, rows: list[tuple[str, str, str]], notes: list[str]) -> None:
    """Print the table at the end: what, figure, what exact matching would have done."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("checked against the truth in the data")
    table.add_column("Onefriend", justify="right")
    table.add_column("exact name and birth date", justify="right")
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)
    for note in notes:
        console.print(f"  {note}")


def counted(counts: Mapping[str, int]) -> str:
    """Return "3 x a, 1 x b", the most frequent first."""
    return (
        ", ".join(f"{n} x {what}" for what, n in sorted(counts.items(), key=lambda item: -item[1])) or "none"
    )


def interactive() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdout.isatty() and sys.stdin.isatty()
