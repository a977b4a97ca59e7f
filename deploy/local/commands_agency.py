"""`onefriend agency list | add | rotate | revoke`."""

import asyncio
import secrets
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import agencies, kafka_agencies, services
from deploy.local.agencies import KINDS, Agency, Invalid
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack
from deploy.local.supervisor import supervisor_of

app = typer.Typer(help="Agencies and their credentials.", no_args_is_help=True)
console = Console(stderr=True, highlight=False, soft_wrap=True)

AgencyId = Annotated[str, typer.Argument(metavar="ID", help="Lower case letters, digits and hyphens: beacon")]


@app.command("list")
def list_() -> None:
    """The agencies that have credentials."""
    place = Place.default()
    clients = Clients(place).all()
    table = Table(box=None, padding=(0, 2))
    for column in ("id", "access", "kind", "areas", "name"):
        table.add_column(column, no_wrap=column == "id")
    for agency in agencies.known(place):
        client = clients.get(agency.id)
        state = "revoked" if client and client.revoked else agency.access if client else "none yet"
        table.add_row(agency.id, state, agency.kind, ", ".join(agency.areas), agency.name)
    Console(highlight=False).print(table)


@app.command()
def add(
    agency_id: AgencyId,
    name: Annotated[str, typer.Option(help="As people know it")],
    kind: Annotated[str, typer.Option(help=", ".join(KINDS))],
    area: Annotated[list[str] | None, typer.Option(help="A police area; can be repeated")] = None,
    hub: Annotated[
        bool, typer.Option(help="Its co-ordinators decide holds, hand-overs and disputes")
    ] = False,
) -> None:
    """Register an agency and show its client secret, once."""
    place = Place.default()
    agency = Agency(
        id=agency_id, name=name, kind=kind, areas=tuple(area or ()), access="hub" if hub else "agency"
    )
    try:
        agencies.remember(place, agency)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from None
    secret = Clients(place).put(agency.id, "agency", agency.scopes)
    _register(place, agency)
    _show(place, agency.id, secret)


@app.command()
def rotate(agency_id: AgencyId) -> None:
    """Give an agency another secret; the old one ends now, its tokens within five minutes."""
    place = Place.default()
    clients = Clients(place)
    client = clients.get(agency_id)
    _show(place, agency_id, clients.put(agency_id, client.kind, client.scopes))


@app.command()
def revoke(agency_id: AgencyId) -> None:
    """End an agency's access: no more tokens, those that it has end within five minutes. Its cases stay."""
    Clients(Place.default()).revoke(agency_id)
    console.print(f"{agency_id} gets no more tokens. `onefriend agency add` gives it access again.")


@app.command()
def kafka(agency_id: AgencyId) -> None:
    """Let an agency read its feed from Kafka (needs `up --agencies-listener`), and show its password, once."""
    place = Place.default()
    Clients(place).get(agency_id)
    stack = Stack(place)
    if not stack.kafka or not stack.kafka.process() or not stack.kafka.listens_to_agencies:
        raise DidNotStart("Kafka does not listen to agencies: `onefriend up --agencies-listener`")
    password = secrets.token_urlsafe(32)
    kafka_agencies.admit(stack.kafka.bootstrap_servers, agency_id, password)
    sys.stdout.write(f"sasl.username={agency_id}\nsasl.password={password}\n")
    console.print(f"bootstrap.servers={stack.kafka.agencies_servers}, SASL_PLAINTEXT, SCRAM-SHA-512")
    console.print(
        f"topic {kafka_agencies.topic_of(agency_id)}, groups {kafka_agencies.groups_of(agency_id)}*"
    )


def _register(place: Place, agency: Agency) -> None:
    if not supervisor_of(place):
        console.print("Onefriend does not run: allocation is told at the next `onefriend up`.")
        return
    token = Issuer(place).token(Clients(place).get("operator"))
    problems = asyncio.run(agencies.register(services.url(place, "allocation"), token, [agency]))
    for problem in problems:
        console.print(
            f"[yellow]Not registered at allocation[/]: {problem}. It is tried again at the next `up`."
        )


def _show(place: Place, client_id: str, secret: str) -> None:
    sys.stdout.write(f"client_id={client_id}\nclient_secret={secret}\n")
    console.print("Keep the secret now: only its hash is stored. A token for five minutes:")
    endpoint = f"{services.url(place, 'issuer')}/token"
    console.print(f"  curl -u {client_id}:SECRET -d grant_type=client_credentials {endpoint}", soft_wrap=True)
