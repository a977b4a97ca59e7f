"""What `onefriend doctor` looks at, and what it says to do."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import jars, services
from deploy.local.place import Place, is_free
from deploy.local.stack import NAMED_POSTGRES, SERVICES, Stack
from deploy.local.supervisor import readiness, supervisor_of
from deploy.local.topics import TOPICS, can_produce, missing_topics

GIGABYTE = 1_000_000_000
NEEDED_DISK = 2 * GIGABYTE
NEEDED_MEMORY = 1.2 * GIGABYTE  # the whole stack
OLDEST_PYTHON = (3, 11)
MANY_UNSENT = 1000
MUCH_LAG = 1000
OLD_UNSENT = 60  # seconds


@dataclass(frozen=True)
class Finding:
    """One line of the answer. `off` is what is not running because nobody started it."""

    verdict: Literal["good", "off", "warning", "bad"]
    about: str
    found: str
    remedy: str = ""


async def examine(place: Place, stack: Stack) -> list[Finding]:
    """Everything, in the order in which to mend it."""
    findings = [*_machine(place), *_files(place)]
    findings += [await _postgres(stack), await asyncio.to_thread(_kafka, stack)]
    findings += _ports(place)
    async with httpx.AsyncClient(timeout=5) as http:
        findings.append(_supervisor(place))
        for name in services.existing():
            findings += await _service(http, place, name)
    return findings


# ------------------------------------------------------------------------------------------------ machine
def _machine(place: Place) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("good", "Python", version)
    else:
        yield Finding("bad", "Python", version, "install Python 3.11 or later, or uv, and run `make setup`")
    free = shutil.disk_usage(place.home).free
    words = f"{free / GIGABYTE:.1f} GB free"
    if free > NEEDED_DISK:
        yield Finding("good", "disk", words)
    else:
        yield Finding("bad", "disk", words, f"free some: PostgreSQL and Kafka stop when {place.home} is full")
    memory = psutil.virtual_memory().available
    words = f"{memory / GIGABYTE:.1f} GB available"
    enough = memory > NEEDED_MEMORY or supervisor_of(place) is not None
    yield (
        Finding("good", "memory", words)
        if enough
        else Finding("warning", "memory", words, "close some programs: it needs 1.2 GB")
    )


def _files(place: Place) -> Iterator[Finding]:
    folder = place.shared / "jars"
    missing = [jar.filename for jar in jars.locked() if not (folder / jar.filename).exists()]
    if missing:
        yield Finding(
            "off",
            "jars of Kafka",
            f"{len(missing)} missing",
            "`onefriend up` fetches them (45 MB, from Maven Central)",
        )
    else:
        wrong = [jar.filename for jar in jars.locked() if jars.digest(folder / jar.filename) != jar.sha256]
        found = f"{', '.join(wrong)} damaged" if wrong else "verified"
        remedy = "`onefriend up` fetches them again" if wrong else ""
        yield Finding("warning" if wrong else "good", "jars of Kafka", found, remedy)
    key = place.home / "keys" / "master.key"
    if not key.exists():
        made = (place.home / "postgres" / "data").exists()
        remedy = (
            "bring it back with `onefriend restore`: without it the details in the database cannot be read"
        )
        yield (
            Finding("bad", "master key", "missing", remedy)
            if made
            else Finding("off", "master key", "made at the first `up`")
        )
    elif key.stat().st_mode & 0o077:
        yield Finding("bad", "master key", "others can read it", f"chmod 600 '{key}'")
    else:
        yield Finding(
            "good", "master key", "there, for its owner only", "keep a copy elsewhere: `onefriend backup`"
        )


# ------------------------------------------------------------------------------------------------ servers
async def _postgres(stack: Stack) -> Finding:
    if stack.postgres and not stack.postgres.process():
        return _stopped(stack.place, "PostgreSQL", "postgres")
    url = stack.postgres.url() if stack.postgres else stack.admin_url
    if not url:
        return Finding("off", "PostgreSQL", "in a container of another process")
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except asyncpg.InvalidPasswordError:
        remedy = NAMED_POSTGRES
        if stack.postgres:
            remedy = "secrets.json is not the one that this database was made with: bring it back, or `onefriend reset`"
        return Finding("bad", "PostgreSQL", "refuses our password", remedy)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        remedy = "`onefriend logs postgres`, then `onefriend up`" if stack.postgres else NAMED_POSTGRES
        return Finding("bad", "PostgreSQL", f"does not answer: {error}", remedy)
    try:
        version = await connection.fetchval("SHOW server_version")
        oldest = await connection.fetchval(
            "SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)::int FROM pg_stat_activity"
            " WHERE state LIKE 'idle in transaction%'"
        )
    finally:
        await connection.close()
    if oldest > 60:  # noqa: PLR2004 -- seconds; the services' own limit is shorter
        return Finding(
            "warning",
            "PostgreSQL",
            f"{version}; a transaction idles for {oldest} s",
            "find who holds it: it stops clean-up",
        )
    return Finding("good", "PostgreSQL", f"{version} answers")


def _kafka(stack: Stack) -> Finding:
    if stack.kafka:
        if not stack.kafka.process():
            return _stopped(stack.place, "Kafka", "kafka")
        stack.broker = stack.kafka.bootstrap_servers
    if not stack.broker:
        return Finding("off", "Kafka", "in a container of another process")
    settings = stack.client_settings()
    if not can_produce(settings, patience=5):
        return Finding(
            "bad",
            "Kafka",
            "accepts no record",
            "`onefriend logs kafka`; `onefriend down` and `up` start it again",
        )
    missing = missing_topics(settings)
    if missing:
        return Finding(
            "bad",
            "Kafka",
            f"lacks {', '.join(missing)}",
            "`onefriend up` makes them, and the services tell them again",
        )
    return Finding("good", "Kafka", f"accepts records, {len(TOPICS)} topics")


def _stopped(place: Place, server: str, log: str) -> Finding:
    if supervisor_of(place):
        remedy = f"it is started again by itself; `onefriend logs {log}` says why it ended"
        return Finding("bad", server, "is not running", remedy)
    return Finding("off", server, "stopped", "`onefriend up` starts it")


def _ports(place: Place) -> Iterator[Finding]:
    if supervisor_of(place):
        return
    taken = [
        f"{name} {port}" for name, port in place.ports().items() if name in SERVICES and not is_free(port)
    ]
    orphaned = [name for name in SERVICES if services.running(place, name)]
    if orphaned:
        remedy = "`onefriend up` ends them and starts them anew; `onefriend down` ends them"
        yield Finding("warning", "left running", ", ".join(orphaned), remedy)
    elif taken:
        yield Finding(
            "warning",
            "ports",
            f"taken: {', '.join(taken)}",
            "nothing: the next `onefriend up` chooses others",
        )
    else:
        yield Finding("good", "ports", "free")


def _supervisor(place: Place) -> Finding:
    running = supervisor_of(place)
    if running:
        return Finding("good", "supervisor", f"runs as {running.pid}")
    return Finding("off", "supervisor", "stopped", "`onefriend up` starts everything")


# ----------------------------------------------------------------------------------------------- services
async def _service(http: httpx.AsyncClient, place: Place, name: str) -> list[Finding]:
    if not services.running(place, name):
        if supervisor_of(place):
            return [
                Finding(
                    "bad",
                    name,
                    "is not running",
                    f"`onefriend logs {name}` says why; it is started again by itself",
                )
            ]
        return [Finding("off", name, "stopped")]
    base = services.url(place, name)
    ready, state = await readiness(http, base)
    findings = [
        Finding("good" if ready else "bad", name, state, "" if ready else _remedy(place, name, state))
    ]
    try:
        metrics = (await http.get(f"{base}/metrics")).text
    except httpx.HTTPError:
        return findings
    return [*findings, *judged(name, measured(metrics))]


def _remedy(place: Place, name: str, state: str) -> str:
    """What to do about a service that runs and is not ready."""
    look = f"`onefriend logs {name}`"
    if state != "starting":
        return look
    found = ", ".join(str(process.pid) for process in services.running(place, name))
    return (
        f"{look}; if it hangs it is ended and started again by itself, within a minute; one that has never answered is "
        f"left to you: kill -9 {found}"
    )


def measured(metrics: str) -> dict[str, float]:
    """Gauges of a service by name, summed over their labels; from Prometheus text."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def judged(name: str, gauges: dict[str, float]) -> Iterator[Finding]:
    """What the gauges of a service mean."""
    unsent = int(gauges.get("onefriend_outbox_unsent", 0))
    if unsent > MANY_UNSENT:
        remedy = "the broker does not keep up or is away: look at Kafka above; they are sent by themselves"
        yield Finding("warning", f"{name}: events not yet told", str(unsent), remedy)
    age = int(gauges.get("onefriend_outbox_age_seconds", 0))
    if age > OLD_UNSENT:
        remedy = "the broker is away, look at Kafka above; or it refused it, and `onefriend stuck` says what to type"
        yield Finding("warning", f"{name}: oldest event not yet told", f"{age} s", remedy)
    lag = int(gauges.get("onefriend_consumer_lag", 0))
    if lag > MUCH_LAG:
        remedy = (
            "it catches up by itself; if this grows, start another process with the same environment: "
            f"python -m services.{name} --only consumer"
        )
        yield Finding("warning", f"{name}: events not yet applied", str(lag), remedy)
    parked = int(gauges.get("onefriend_parked_keys", 0))
    if parked:
        remedy = "`onefriend stuck` says whose and why, and what to type"
        yield Finding("bad", f"{name}: parked keys", str(parked), remedy)
    unreadable = int(gauges.get("onefriend_unreadable_records", 0))
    if unreadable:
        remedy = (
            "their source tells its topic again by itself; look at the broker and its disk, then `onefriend stuck`"
            " names what to put away"
        )
        yield Finding("warning", f"{name}: unreadable records", str(unreadable), remedy)
    failing = int(gauges.get("onefriend_timers_failing", 0))
    if failing:
        remedy = (
            f"`onefriend logs {name} -n 1000` has `timer failed` with its name, key and error; it is tried every five"
            " minutes, for ever, and what it should do waits: report it"
        )
        yield Finding("bad", f"{name}: timers that fail", str(failing), remedy)
    if not (unsent > MANY_UNSENT or age > OLD_UNSENT or lag > MUCH_LAG or parked or unreadable or failing):
        yield Finding("good", f"{name}: flow", f"{unsent} unsent, {lag} behind, 0 parked")
