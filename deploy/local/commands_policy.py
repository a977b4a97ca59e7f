"""`onefriend policy check | diff | dry-run | explain | propose | drafts | publish`.

`check` and `diff` read files; the others ask the running stack. Nothing changes until a second person publishes.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import yaml
from rich.console import Console
from rich.table import Table

from deploy.local.agencies import POLICIES
from deploy.local.asking import ask
from deploy.local.place import Place
from deploy.local.supervisor import supervisor_of
from services.allocation import policy
from services.allocation.policy.difference import Difference, differences

app = typer.Typer(help="Read, try out and change how cases are allocated.", no_args_is_help=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A changed policy")]
As = Annotated[str, typer.Option("--as", metavar="ID", help="A hub of the partnership, or operator")]
Worker = Annotated[str, typer.Option(help="Who you are: two different people propose and publish")]


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(exists=True, help="Changed policies; without, those that ship")
    ] = None,
) -> None:
    """Tell every rule that can never apply, every case without a rule, every unknown word, with line and remedy."""
    shipped = {path.name for path in POLICIES.glob("*.yaml")}
    texts = {
        path.name if path.name in shipped else _file_of(_policy_of(path)): path.read_text(encoding="utf-8")
        for path in files or ()
    }
    found = _parsed(texts)
    out.print(f"{len(found.partnerships)} partnerships and the national rules: no mistake found.")


@app.command()
def diff(file: File) -> None:
    """Show, rule by rule, how a changed policy differs: from the one in force, or (nothing runs) the one that ships."""
    text = file.read_text(encoding="utf-8")
    policy_id = _policy_of(file)
    place = Place.default()
    texts, whose = {}, "the policy that ships"
    if supervisor_of(place):
        in_force = _ask("GET", f"/v1/policies/{policy_id}").json()
        texts, whose = {in_force["file"]: in_force["text"]}, f"{in_force['reference']}, in force"
    before, after = _parsed(texts), _parsed({**texts, _file_of(policy_id): text})
    changes = differences(_rules(before, policy_id), _rules(after, policy_id))
    errors.print(f"Against {whose}:")
    if _version(before, policy_id) == _version(after, policy_id) and changes:
        errors.print(f"[yellow]The version is still {_version(after, policy_id)}: raise it[/].")
    _show_rules(changes)


@app.command("dry-run")
def dry_run(
    file: File,
    last: Annotated[int, typer.Option(min=1, max=500, help="How many of the last cases")] = 100,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Cases of other partnerships too")] = False,
    who: As = "operator",
) -> None:
    """Decide the last cases by a changed policy, and show whose lead, team, funder or checks would differ."""
    body = {"text": file.read_text(encoding="utf-8"), "last": last, "everywhere": everywhere}
    found = _ask("POST", f"/v1/policies/{_policy_of(file)}/dry-run", who=who, json=body).json()
    errors.print(f"{found['tried']} cases tried, {found['differing']} would differ. Nothing has changed.")
    table = _table("case", "what", "is", "would be")
    for case in found["cases"]:
        for number, one in enumerate(case["differences"]):
            what = (
                one["what"].rpartition(" ")[0]
                if one["what"].startswith(("lead ", "limits ", "hold ", "team for "))
                else one["what"]
            )
            table.add_row("" if number else case["case"], what, _cell(one["is"]), _cell(one["would_be"]))
    if found["cases"]:
        out.print(table)


@app.command()
def explain(
    case: Annotated[str, typer.Argument(help="A case's id")],
    who: As = "operator",
) -> None:
    """Why this agency? Every decision on a case, with the rules that fired and why those before them did not."""
    found = _ask("GET", f"/v1/cases/{case}", who=who).json()
    for decision in found.get("decisions", ()):
        out.print(f"[bold]{decision['at']}  {decision['policy_version']}  rule {decision['rule']}[/]")
        for sentence in decision["why"]:
            out.print(f"  {sentence}")
    if not found.get("decisions"):
        out.print(f"{case} is {found['status']}: nothing is decided yet, or it is not yours to see.")


@app.command()
def propose(file: File, worker: Worker, who: As = "operator") -> None:
    """Propose a changed policy. Another person publishes it."""
    policy_id = _policy_of(file)
    body = {"text": file.read_text(encoding="utf-8")}
    made = _ask("POST", f"/v1/policies/{policy_id}/drafts", who=who, worker=worker, json=body).json()
    errors.print(f"{made['rules']} rules differ from {made['base']}. Somebody else puts it in force:")
    sys.stdout.write(f"onefriend policy publish {policy_id} {made['draft']} --worker THEIR-ID\n")


@app.command()
def drafts(policy_id: Annotated[str, typer.Argument(metavar="POLICY")], who: As = "operator") -> None:
    """Who proposed and who published what, the newest first."""
    table = _table("draft", "version", "proposed", "by", "published", "by ")
    found = _ask("GET", f"/v1/policies/{policy_id}/drafts", who=who).json()["drafts"]
    if not found:
        errors.print("Nothing was proposed: the policy that ships is in force.")
        return
    for one in found:
        table.add_row(
            one["draft"], one["reference"], one["proposed_at"][:16],
            f"{one['proposed_agency']}/{one['proposed_worker']}", (one["published_at"] or "")[:16],
            f"{one['published_agency']}/{one['published_worker']}" if one["published_at"] else "",
        )  # fmt: skip
    out.print(table)


@app.command()
def publish(
    policy_id: Annotated[str, typer.Argument(metavar="POLICY")],
    draft: Annotated[str, typer.Argument(help="What `propose` answered")],
    worker: Worker,
    who: As = "operator",
) -> None:
    """Put a draft in force, as another person than who proposed it. Live cases keep the version they began with."""
    path = f"/v1/policies/{policy_id}/drafts/{draft}/publication"
    done = _ask("POST", path, who=who, worker=worker).json()
    out.print(f"In force for cases that begin from now: {done['reference']}")


def _ask(
    method: str, path: str, *, who: str = "operator", worker: str | None = None, json: object = None
) -> httpx.Response:
    return ask("allocation", method, path, who=who, worker=worker, json=json)


def _parsed(texts: dict[str, str]) -> policy.Policies:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*.yaml"))}
    try:
        return policy.parse({**shipped, **texts})
    except policy.PolicyErrors as wrong:
        for problem in wrong.problems:
            errors.print(f"{problem.file}:{problem.line}: {problem.what}: {problem.remedy}")
        raise typer.Exit(1) from None


def _policy_of(file: Path) -> str:
    try:
        head = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as wrong:
        raise typer.BadParameter(f"{file}: not YAML: {wrong}") from None
    if not isinstance(head, dict) or not isinstance(head.get("policy"), str):
        raise typer.BadParameter(f"{file} does not begin with `policy: …`")
    return str(head["policy"])


def _file_of(policy_id: str) -> str:
    return f"{policy_id}.yaml"


def _rules(policies: policy.Policies, policy_id: str) -> Any:  # noqa: ANN401 - rules by section
    if policy_id == "national":
        return next(iter(policies.partnerships.values())).national
    return policies.partnerships[policy_id].rules if policy_id in policies.partnerships else {}


def _version(policies: policy.Policies, policy_id: str) -> str:
    if policy_id == "national":
        return policies.version
    return policies.partnerships[policy_id].version if policy_id in policies.partnerships else ""


def _show_rules(changes: tuple[Difference, ...]) -> None:
    signs = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}
    for one in changes:
        out.print(f"{signs[one.what]} {one.section}/{one.rule} ({one.what})")
        for word, text in (("was", one.before if one.what != "moved" else None), ("now", one.after)):
            if text:
                out.print(f"    {word}: {text}", markup=False)
    if not changes:
        out.print("No rule differs.")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "draft")
    return table


def _cell(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(each)}" for name, each in value.items() if each)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)
