"""`onefriend identity dry-run | apply`: the backlog looked at with other weights."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.local import services
from deploy.local.place import CHECKOUT, Place, write_private
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack
from deploy.local.supervisor import supervisor_of

app = typer.Typer(help="Who is who, with other weights.", no_args_is_help=True)
console = Console(stderr=True, highlight=False, soft_wrap=True)
SHIPPED = CHECKOUT / "services" / "intake" / "matching" / "data" / "weights.json"
PATIENCE = 90.0  # seconds for intake to come back with the new weights
STEP = re.compile(r"([a-z ]+): ([\d,]+) of ([\d,]+)")
# As the result names them; the order in which they are shown.
ROWS = {
    "joined": "two people today → one",
    "in_doubt": "two people today → held for a reviewer",
    "cleared_same": "held for a reviewer today → one",
    "cleared_different": "held for a reviewer today → two people",
    "parted": "one person today → a person must look (never parted by machine)",
}
Weights = Annotated[
    Path,
    typer.Option(help="A file that `make train-identity` wrote; without it, the weights that are shipped"),
]
Report = Annotated[
    Path | None,
    typer.Option(help="Write every change, with its reason, to this file (ids, nobody's details)"),
]


@app.command("dry-run")
def dry_run(weights: Weights = SHIPPED, report: Report = None) -> None:
    """Look at the whole store with these weights and show what would change. Nothing does."""
    place = _running()
    _show(_step(place, "dry-run", weights), report)


@app.command()
def apply(
    weights: Weights = SHIPPED,
    report: Report = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Use these weights from now on, and let what they change be so. Interrupted, it is begun again and goes on."""
    place = _running()
    if not yes:
        _show(_step(place, "dry-run", weights), report)
        typer.confirm("Let this be so? Every join can be undone in the review queue.", abort=True)
    _step(place, "keys", weights)
    _adopt(place, weights)
    result = _step(place, "apply", services.weights(place))
    _show(result, report)
    console.print(f"Intake decides with model {result['model']} from now on.")


def _running() -> Place:
    place = Place.default()
    if supervisor_of(place) is None:
        raise DidNotStart("Onefriend does not run here: `onefriend up` first")
    return place


def _step(place: Place, step: str, weights: Path) -> dict[str, Any]:
    """Run one step in a process of its own, as intake, and show its progress."""
    stack = Stack(place)
    stack.start()
    environment = services.environment(place, "intake", stack.ensure_databases()["intake"], stack.broker)
    command = [sys.executable, "-m", "services.intake.reweighing", step, "--weights", str(weights.resolve())]
    wrong = []
    with (
        Progress(console=console, transient=True) as progress,
        subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stderr is not None  # noqa: S101 -- it was asked for
        assert child.stdout is not None  # noqa: S101 -- the same
        tasks: dict[str, Any] = {}
        for line in child.stderr:
            found = STEP.fullmatch(line.strip())
            if found is None:
                wrong.append(line)
                continue
            what, done, of = found[1], int(found[2].replace(",", "")), int(found[3].replace(",", ""))
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done, total=of)
        answer = child.stdout.read()
    if child.returncode:
        raise DidNotStart(f"{step}: {''.join(wrong[-5:]).strip() or child.returncode}")
    result: dict[str, Any] = json.loads(answer)
    return result


def _adopt(place: Place, weights: Path) -> None:
    """Give intake the weights, and start it again with them."""
    target = services.weights(place)
    target.parent.mkdir(exist_ok=True, mode=0o700)
    if weights.resolve() != target:
        write_private(target, weights.read_text("utf-8"))
    before = services.running(place, "intake")
    for process in before:
        process.send_signal(signal.SIGTERM)
    console.print("intake starts again, with these weights")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.3)
        try:
            gone = not any(process.is_running() for process in before)
            if gone and httpx.get(f"{services.url(place, 'intake')}/readyz", timeout=3).is_success:
                return
        except (httpx.HTTPError, psutil.Error):
            continue
    raise DidNotStart("intake did not come back: see `onefriend logs intake`, and run this again")


def _show(result: dict[str, Any], report: Path | None) -> None:
    applied = result.get("applied")
    columns = ("change", "people", *(("applied",) if applied is not None else ()))
    table = Table(
        *columns, title=f"{result['people']:,} people, model {result['model']}", box=None, padding=(0, 2)
    )
    for kind, words in ROWS.items():
        done = (f"{applied.get(kind, 0):,}",) if applied is not None else ()
        table.add_row(words, f"{result['changes'][kind]:,}", *done)
    table.add_row("waiting for a reviewer today", f"{result['waiting']:,}")
    Console(highlight=False).print(table)
    if report is not None:
        report.write_text("".join(json.dumps(one) + "\n" for one in result["who"]))
        console.print(f"Every change is in {report}, one a line.")
