"""Results of runs that have ended, kept in a file, so that a long check goes on where it was stopped.

A result counts as long as everything that it came from is the same to the byte: the specifications and the
configuration, bounds and properties in it. Whatever changes is run again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock

from tests.model import tlc


def key(job: tlc.Job) -> str:
    """What a result depends on, as a digest. All modules count: they extend one another."""
    digest = hashlib.sha256(f"{job.module}\n{job.configuration}\n{job.quick}\n".encode())
    for path in sorted(tlc.HERE.glob("*.tla")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@dataclass
class Kept:
    """Results by digest, one a line in `path`; without a path nothing is kept."""

    path: Path | None = None
    _results: dict[str, tlc.Result] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Read what an earlier run has left; a line that was cut off by a kill is left out."""
        if self.path is None or not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            digest = entry.pop("key")
            self._results[digest] = tlc.Result(**entry | {"story": tuple(entry["story"])})

    def find(self, job: tlc.Job) -> tlc.Result | None:
        """The result of exactly this job, if it has run before."""
        return self._results.get(key(job))

    def keep(self, job: tlc.Job, result: tlc.Result) -> None:
        """Write a result down at once."""
        if self.path is None:
            return
        with self._lock, self.path.open("a") as file:
            entry = json.dumps({"key": key(job), **asdict(result)})
            file.write(f"\n{entry}\n")  # a line of its own, also after one that was cut off
