"""Agencies as this stack knows them: those that the shipped policies name, and what `onefriend agency add` has added.

Each is a client of the issuer (its credentials) and an agency at allocation (what the services know about it).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import yaml

from deploy.local.clients import AGENCY_SCOPES, HUB_SCOPES, Clients
from deploy.local.place import CHECKOUT, Place, write_private
from shared.contracts.agencies import AgencyKind

POLICIES = CHECKOUT / "services" / "allocation" / "policies"
ID = re.compile(r"[a-z][a-z0-9-]{1,59}")
KINDS: tuple[str, ...] = get_args(AgencyKind)


@dataclass(frozen=True, kw_only=True)
class Agency:
    """An agency to register. `access` hub means that its co-ordinators decide holds, hand-overs and disputes as well."""

    id: str
    name: str
    kind: str
    areas: tuple[str, ...] = ()
    access: Literal["agency", "hub"] = "agency"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What its tokens may do."""
        return HUB_SCOPES if self.access == "hub" else AGENCY_SCOPES


class Invalid(Exception):
    """An agency that cannot be registered; the message says what would be right."""


def _read(row: dict[str, Any]) -> Agency:
    agency = Agency(**row | {"areas": tuple(row.get("areas", ()))})
    if not ID.fullmatch(agency.id):
        raise Invalid(
            f"agency {agency.id}: an id is 2 to 60 lower case letters, digits and hyphens, as in mediation-herts"
        )
    if agency.kind not in KINDS:
        raise Invalid(f"agency {agency.id}: kind {agency.kind} is not one of {', '.join(KINDS)}")
    return agency


def _check_areas(agency: Agency) -> None:
    """Raises Invalid: by an area that no rule knows, nothing would ever reach the agency."""
    there = yaml.safe_load((POLICIES / "areas.yaml").read_text())
    for area in agency.areas:
        if area not in there:
            raise Invalid(f"agency {agency.id}: area {area} is not one of {', '.join(sorted(there))}")


def known(place: Place) -> list[Agency]:
    """The agencies of the policies and the added ones; an added one replaces another of the same id."""
    found = {agency.id: agency for path in sorted(POLICIES.glob("*.yaml")) for agency in in_policy(path)}
    added = place.home / "issuer" / "agencies.json"
    rows = json.loads(added.read_text()) if added.exists() else []
    return list((found | {row["id"]: _read(row) for row in rows}).values())


def in_policy(path: Path) -> Iterator[Agency]:
    """The agencies that a partnership's policy names. Those that co-ordinate its cases have a hub's access."""
    policy = yaml.safe_load(path.read_text())
    if not policy.get("policy") or not policy.get("agencies"):
        return
    coordinators = {rule.get("agency") for rule in policy.get("coordinator", ())}
    for agency_id, said in policy["agencies"].items():
        row = {
            "id": agency_id,
            "name": said["name"],
            "kind": said["kind"],
            "areas": said.get("areas", policy.get("areas", ())),
            "access": "hub" if agency_id in coordinators else "agency",
        }
        yield _read(row)


def remember(place: Place, agency: Agency) -> None:
    """Keep an added agency, so that it is registered again after a reset of the databases.

    Raises:
        Invalid: if its id cannot be one, or its kind or an area is unknown.
    """
    _check_areas(_read(asdict(agency)))
    path = place.home / "issuer" / "agencies.json"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with place.lock("agencies"):
        rows = json.loads(path.read_text()) if path.exists() else []
        kept = [row for row in rows if row["id"] != agency.id]
        write_private(path, json.dumps([*kept, asdict(agency)], indent=2))


def ensure_clients(place: Place) -> None:
    """Credentials for every agency that has none. Their secrets are unknown: `onefriend agency rotate` shows a new one."""
    clients = Clients(place)
    there = clients.all()
    for agency in known(place):
        if agency.id not in there:
            clients.put(agency.id, "agency", agency.scopes)


async def register(base: str, token: str, agencies: list[Agency]) -> list[str]:
    """Make allocation know them; those that it knows as they are stay untouched.

    Args:
        base: URL of allocation.
        token: of an operator.
        agencies: to register.

    Returns:
        What could not be registered, one sentence each.
    """
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
        try:
            answer = await http.get("/v1/agencies")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            return [f"allocation does not tell which agencies it knows: {error}"]
        there = {row.get("agency"): row for row in answer.json()["agencies"]}
        missing = [agency for agency in agencies if not _is_known(agency, there.get(agency.id, {}))]
        problems = [await _register(http, agency) for agency in missing]
    return [problem for problem in problems if problem]


def _wanted(agency: Agency) -> dict[str, Any]:
    return {"name": agency.name, "kind": agency.kind, "areas": list(agency.areas)}


def _is_known(agency: Agency, row: dict[str, Any]) -> bool:
    return all(row.get(key) == value for key, value in _wanted(agency).items())


async def _register(http: httpx.AsyncClient, agency: Agency) -> str | None:
    path = f"/v1/agencies/{agency.id}"
    try:
        there = await http.get(path)
        condition = {"If-Match": there.headers["etag"]} if there.is_success else {}
        # What an operator has entered since it was registered is not known here, and stays.
        kept = {name: there.json()[name] for name in ("sharing_agreement", "active") if there.is_success}
        answer = await http.put(path, json=_wanted(agency) | kept, headers=condition)
    except httpx.HTTPError as error:
        return f"{agency.id}: allocation does not answer ({type(error).__name__})"
    return (
        None
        if answer.is_success
        else f"{agency.id}: allocation answered {answer.status_code}: {answer.text[:300]}"
    )
