"""What came of many histories: added up, kept in a file so that a long run can go on, shown as a table."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.promise import Promise

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What became of one history. `broken`: the promise that was broken, or "error"; `what`: how, with its story."""

    seed: int
    broken: str = ""
    what: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    fingerprint: int = 0
    story: tuple[str, ...] = ()


def digest() -> str:
    """Return a short digest of the source that histories run on."""
    found = hashlib.sha256()
    for folder in ("services", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def commit() -> str:
    """Return the commit that is checked out, "?" if that cannot be told."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return done.stdout.strip()


@dataclass
class Tally:
    """All histories so far. Seeds are run in order: `done` of them, from the first."""

    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    harm: dict[str, int] = field(
        default_factory=lambda: {**{promise.name: 0 for promise in Promise}, "error": 0}
    )
    stories: list[str] = field(default_factory=list)
    cpu: float = 0.0
    wall: float = 0.0
    sources: dict[str, int] = field(default_factory=dict)
    """Commit and digest of the source -> how many histories ran on it."""

    @classmethod
    def read(cls, path: Path) -> Tally:
        """Return the tally of a run that was begun before, or a new one."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it; a crash leaves the old one or the new."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(path)

    def add(self, outcome: Outcome, source: str) -> None:
        """Add a history."""
        self.done += 1
        self.sources[source] = self.sources.get(source, 0) + 1
        for total, new in ((self.counts, outcome.counts), (self.faults, outcome.faults)):
            for name, number in new.items():
                total[name] = total.get(name, 0) + number
        self.cpu += outcome.seconds
        if outcome.broken:
            self.harm[outcome.broken] += 1
            self.stories.append(f"seed {outcome.seed}: {outcome.what}")

    def table(self, workers: int) -> str:
        """Return the table at the end."""
        rows: list[tuple[str, str]] = [
            ("histories", f"{self.done:,}"),
            *((name, f"{number:,}") for name, number in self.counts.items()),
            *((f"fault: {name}", f"{number:,}") for name, number in sorted(self.faults.items())),
            (f"histories per second, on {workers} cores", f"{self.done / max(self.wall, 1e-9):.1f}"),
            ("histories per second of one core", f"{self.done / max(self.cpu, 1e-9):.1f}"),
            *((f"{name} broken", str(self.harm[name])) for name in (p.name for p in Promise)),
            ("errors that no fault explains", str(self.harm["error"])),
            *((f"ran on {source}", f"{number:,}") for source, number in self.sources.items()),
        ]
        return "\n".join(f"{what:<62} {value}" for what, value in rows)
