"""The jars of the broker: fetched by jgo, each verified against the committed list `jars.txt`.

The list is the lock: coordinates and SHA-256. Nothing is resolved on a user's machine, so that nothing can
resolve otherwise there than it did here. `python -m deploy.local.jars` makes the list again after a change of
ROOTS (for maintainers).
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.processes import DidNotStart

LIST = Path(__file__).with_name("jars.txt")
HEADER = """\
# The class path of the broker, in order: group:artifact:version and the SHA-256 of the jar.
# Made by `python -m deploy.local.jars`, never by hand.
"""
# Each is resolved alone and the first that names an artifact decides its version: resolved together, the
# dependency management of log4j reaches into Kafka and replaces kafka-clients 4.3.1 by 3.9.1.
# The binding is to log4j, because slf4j-nop hides the broker's log.
ROOTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
ATTEMPTS = 3
STEP = 10  # progress is told after so many


@dataclass(frozen=True)
class Jar:
    """One artifact and what its bytes must hash to."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in the folder; no two artifacts of the list share one."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked() -> list[Jar]:
    """The committed list."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [Jar(coordinate, sha256) for coordinate, sha256 in lines]


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def ensure(folder: Path, progress: Callable[[int, int], None]) -> list[Path]:
    """The class path, in order, every jar verified; what is missing or differs is fetched (again).

    Args:
        folder: where they are kept.
        progress: told (done, of) while fetching.

    Raises:
        DidNotStart: what could not be fetched or does not match, and the remedy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jars = locked()
    with ThreadPoolExecutor(8) as pool:
        verified = list(pool.map(lambda jar: _verified(folder / jar.filename, jar), jars))
        wanted = [jar for jar, good in zip(jars, verified, strict=True) if not good]
        if wanted:
            progress(0, len(wanted))
            for done, _ in enumerate(pool.map(lambda jar: _fetch(jar, folder), wanted), start=1):
                if done % STEP == 0 or done == len(wanted):
                    progress(done, len(wanted))
    return [folder / jar.filename for jar in jars]


def _verified(path: Path, jar: Jar) -> bool:
    return path.exists() and digest(path) == jar.sha256


def _fetch(jar: Jar, folder: Path) -> None:
    """Into a folder of its own first: a jar appears under its name only when it has been verified."""
    problem = ""
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            try:
                fetched = _artifact(_maven(Path(draft)), jar.coordinate)
            except Exception as error:  # noqa: BLE001 -- whatever jgo or the network raises is said to the reader
                problem = f"{type(error).__name__}: {error}"
                continue
            found = digest(fetched)
            if found == jar.sha256:
                fetched.replace(folder / jar.filename)
                return
            problem = f"its SHA-256 is {found}, and {jar.sha256} was expected"
    raise DidNotStart(
        f"{jar.coordinate} could not be fetched: {problem}. Check the connection to Maven Central, or name a "
        "mirror of it in ONEFRIEND_MAVEN, and start again; what has been fetched is kept."
    )


def _maven(repository: Path) -> Any:  # noqa: ANN401 -- jgo publishes no useful type for its context
    from jgo.maven import MavenContext  # noqa: PLC0415 -- costs 0.2 s, and only the first start needs it

    mirror = os.environ.get("ONEFRIEND_MAVEN")
    return MavenContext(
        repo_cache=repository,
        local_repos=[],
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=60,
    )


def _artifact(maven: Any, coordinate: str) -> Path:  # noqa: ANN401 - jgo has no types
    group, artifact, version = coordinate.split(":")
    return Path(maven.project(group, artifact).at_version(version).artifact().resolve())


def make_list() -> None:
    """Resolve ROOTS and write the list, for maintainers."""
    with tempfile.TemporaryDirectory() as repository:
        maven = _maven(Path(repository))
        chosen: dict[str, str] = {}
        for root in ROOTS:
            inputs, transitive = maven.resolver.resolve([maven.create_dependency(root)])
            for each in (*inputs, *transitive):
                chosen.setdefault(f"{each.groupId}:{each.artifactId}", each.version)
        lines = []
        for name, version in sorted(chosen.items()):
            coordinate = f"{name}:{version}"
            lines.append(f"{coordinate} {digest(_artifact(maven, coordinate))}")
            sys.stdout.write(f"{coordinate}\n")
    LIST.write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    make_list()
