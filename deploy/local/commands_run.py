"""`onefriend up | down | status | doctor | logs`."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer
from rich.console import Console
from rich.table import Table

from deploy.local import agencies, doctor, example_workers, kafka_agencies, processes, services, subscriptions
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import CHECKOUT, Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import SERVICES, Stack
from deploy.local.supervisor import GRACE, Supervisor, readiness, supervisor_of

# An agency that refers, one that leads, one that co-ordinates, and those of two other partnerships.
EXAMPLES = (
    "hertfordshire-constabulary",
    "beacon",
    "herts-rj-coordinator",
    "victims-first-northumbria",
    "hub-brighton",
)


class _Said(Console):
    """What is said to whoever typed the command."""

    def on_broken_pipe(self) -> None:
        """Go on in silence: that nobody reads any more is no reason to stop what others use."""
        self.quiet = True


console = _Said(stderr=True, highlight=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    for command in (up, down, status, check_up, logs):
        app.command(name="doctor" if command is check_up else None)(command)


# ------------------------------------------------------------------------------------------------ up, down
def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background; `onefriend down` ends it")
    ] = False,
    agencies_listener: Annotated[
        bool, typer.Option("--agencies-listener", help="Open Kafka's listener for agencies (SASL/SCRAM)")
    ] = False,
) -> None:
    """Start database, broker, token issuer and all services, restart what dies or hangs, until Ctrl-C."""
    place = Place.default()
    if detach:
        _detach(place, agencies_listener=agencies_listener)
        return
    began = time.monotonic()

    def tell(part: str, doing: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {part:<14} {doing}")

    asyncio.run(_up(place, Stack(place, agencies=agencies_listener), tell))


async def _up(place: Place, stack: Stack, tell: processes.Tell) -> None:
    # Agencies that wait for news each hold a connection: a usual limit of 1,024 files is soon reached, and may be raised.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 -- asyncio.run made it
    for ended_by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the end of the terminal is not to be ours.
        if signal.getsignal(ended_by) is not signal.SIG_IGN:
            loop.add_signal_handler(ended_by, task.cancel)
    # Ctrl-C or `onefriend down`: everything has been stopped on the way here.
    with suppress(asyncio.CancelledError):
        async with Supervisor(place, stack, tell).running() as running:
            await asyncio.to_thread(kafka_agencies.dismiss_revoked, place, stack.kafka)
            if any(service.name == "notifications" for service in running):
                await _pause_revoked(place, tell)
            if any(service.name == "allocation" for service in running):
                await _register_agencies(place, tell)
            _print_urls(place, [service.name for service in running])
            ready_mark(place).write_text(str(os.getpid()))
            try:
                await asyncio.Event().wait()
            finally:
                ready_mark(place).unlink(missing_ok=True)


async def _pause_revoked(place: Place, tell: processes.Tell) -> None:
    try:
        paused = await asyncio.to_thread(subscriptions.pause_revoked, place)
    except DidNotStart as error:
        tell("agencies", f"webhooks and e-mails of those that are revoked are not paused: {error}")
    else:
        if paused:
            tell(
                "agencies", f"{paused} webhooks and e-mail subscriptions of those that are revoked are paused"
            )


async def _register_agencies(place: Place, tell: processes.Tell) -> None:
    tell("agencies", "registering at allocation")
    token = Issuer(place).token(Clients(place).get("operator"))
    for problem in await agencies.register(services.url(place, "allocation"), token, agencies.known(place)):
        tell("agency", problem)
    for problem in await example_workers.register(services.url(place, "allocation"), token):
        tell("worker", problem)


def ready_mark(place: Place) -> Path:
    """A file that is there while everything of a place is ready."""
    return place.home / "ready"


def _print_urls(place: Place, running: list[str]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name in running:
        base = services.url(place, name)
        table.add_row(f"[bold]{name}[/]", base if name == "dashboard" else f"{base}/docs")
    table.add_row("[bold]tokens[/]", f"{services.url(place, 'issuer')}/token")
    table.add_row("[bold]mail[/]", str(place.home / "mail"))
    console.print(table)
    known = {agency.id for agency in agencies.known(place)}
    console.print(
        f"Tokens for five minutes, of any of {len(known)} agencies ([bold]bin/onefriend agency list[/]) or operator:"
    )
    for name in [name for name in EXAMPLES if name in known]:
        console.print(f"  $(bin/onefriend token {name})")
    console.print("A password for the dashboard: [bold]bin/onefriend worker password anna.hill[/]")
    console.print("Credentials for an agency's own client: [bold]bin/onefriend agency rotate ID[/]")
    console.print("[green]Ready.[/] Ctrl-C stops it." if sys.stderr.isatty() else "Ready.")


def _detach(place: Place, *, agencies_listener: bool) -> None:
    if supervisor_of(place):
        console.print("Onefriend already runs here: see `onefriend status`")
        return
    ready_mark(place).unlink(missing_ok=True)
    log = place.log("supervisor")
    # What the one before said stays: it may say why it ended.
    with processes.opened(log) as before:
        shown = before.tell()
    arguments = ["up", *(["--agencies-listener"] if agencies_listener else [])]
    started = processes.spawn([sys.executable, "-m", "deploy.local", *arguments], log=log, folder=CHECKOUT)
    with console.status("starting"):
        while not ready_mark(place).exists():
            shown = _show_from(log, shown)
            if not processes.alive(started):
                _show_from(log, shown)
                raise DidNotStart(f"it did not start: see above, and {log}")
            time.sleep(0.1)
    _show_from(log, shown)


def _show_from(log: Path, offset: int) -> int:
    text = log.read_bytes()[offset:] if log.exists() else b""
    if text:
        console.print(text.decode(errors="replace").rstrip(), markup=False)
    return offset + len(text)


def down() -> None:
    """Stop everything of this checkout, also what a killed `up` left running. Nothing is lost."""
    place = Place.default()
    supervisor = supervisor_of(place)
    if supervisor:
        # It stops its services, then the servers; killed before that, it would leave them running.
        processes.stop([supervisor], grace=GRACE * 4)
    left = [process for name in SERVICES for process in services.running(place, name)]
    processes.stop(left, grace=GRACE)
    Stack(place).stop()
    console.print("Stopped.")


# ------------------------------------------------------------------------------------------ status, doctor
def status() -> None:
    """What runs, where, how ready it is, and what it uses."""
    place = Place.default()
    table = Table("part", "state", "URL", "memory", box=None, padding=(0, 2))
    ports = place.ports()
    total = 0

    def row(name: str, state: str, url: str, used: int) -> None:
        nonlocal total
        total += used
        table.add_row(name, state, url, _megabytes(used))

    for name, found in Stack(place).processes().items():
        port = ports["postgres" if name == "PostgreSQL" else "kafka"]
        row(name, _state(found), f"127.0.0.1:{port}", processes.memory(found))
    supervisor = [each for each in [supervisor_of(place)] if each]
    row(
        "supervisor",
        _state(supervisor),
        services.url(place, "issuer"),
        processes.memory(supervisor, children=False),
    )
    for name, state in asyncio.run(_states(place)).items():
        row(name, state, services.url(place, name), processes.memory(services.running(place, name)))
    table.add_row("together", "", "", _megabytes(total))
    Console(highlight=False).print(table)


def _state(found: list[psutil.Process]) -> str:
    return "runs" if found else "stopped"


def _megabytes(used: int) -> str:
    return f"{used / 1e6:.0f} MB" if used else ""


async def _states(place: Place) -> dict[str, str]:
    states = {}
    async with httpx.AsyncClient(timeout=3) as http:
        for name in services.existing():
            if services.running(place, name):
                _, states[name] = await readiness(http, services.url(place, name))
            else:
                states[name] = "stopped"
    return states


def check_up() -> None:
    """Check the machine, the servers and the services, and say what to do about what is wrong."""
    place = Place.default()
    table = Table("", "check", "found", "what to do", box=None, padding=(0, 1))
    table.columns[-1].overflow = "fold"  # an address in a remedy is never cut short: it is there to be used
    findings = asyncio.run(doctor.examine(place, Stack(place)))
    marks = {"good": "[green]ok[/]", "off": "[dim]--[/]", "warning": "[yellow]!![/]", "bad": "[red]XX[/]"}
    for finding in findings:
        table.add_row(marks[finding.verdict], finding.about, finding.found, finding.remedy)
    Console(highlight=False).print(table)
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(1)


# ---------------------------------------------------------------------------------------------------- logs
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Services or servers; all without")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they are written")] = False,
) -> None:
    """Show the logs of services and servers."""
    place = Place.default()
    there = sorted((place.home / "logs").glob("*.log"))
    wanted = [path for path in there if not names or path.stem in names]
    missing = set(names or ()) - {path.stem for path in wanted}
    if missing:
        known = ", ".join(path.stem for path in there)
        raise DidNotStart(f"no log of {', '.join(sorted(missing))}; there are: {known or 'none yet'}")
    if wanted:
        with suppress(KeyboardInterrupt):
            subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), *wanted], check=False)
