"""`onefriend agency list | add | desk | rotate | revoke | kafka`."""

import asyncio
import secrets
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local import agencies, desks, kafka_agencies, services, subscriptions
from deploy.local.agencies import KINDS, Agency, Invalid
from deploy.local.clients import Client, Clients, Unknown
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
    """All agencies, and which access each has."""
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
    area: Annotated[
        list[str] | None, typer.Option(help="A police area, as in hertfordshire; can be repeated")
    ] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Its co-ordinators decide holds, hand-overs and disputes")
    ] = False,
) -> None:
    """Register an agency and show its client secret, once."""
    place = Place.default()
    agency = Agency(
        id=agency_id, name=name, kind=kind, areas=tuple(area or ()), access="hub" if hub else "agency"
    )
    known = Clients(place).all().get(agency_id)
    if known and not known.revoked:
        # Its systems would be locked out by a new secret of which they know nothing.
        raise typer.BadParameter(
            f"{agency_id} has access already: `onefriend agency list`, `rotate`, `revoke`"
        )
    try:
        agencies.remember(place, agency)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from None
    secret = Clients(place).put(agency.id, "agency", agency.scopes)
    _register(place, agency)
    _show(place, agency.id, secret)
    if known:
        _tell_of_paused(agency.id)


@app.command()
def desk(
    agency_id: AgencyId,
    phone: Annotated[str | None, typer.Option(help="Its public number, as in 01632 960001 or 101")] = None,
    email: Annotated[
        str | None, typer.Option(help="Its public mailbox; replies to its e-mails go there")
    ] = None,
    hours: Annotated[
        list[str] | None,
        typer.Option(help='When the telephone is answered: "mon-fri 09:00-17:00"; can be repeated'),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="It has none any more")] = False,
) -> None:
    """Say how people whom an agency writes to can answer, in place of what was said before; without options: show it.

    It is printed in every letter, e-mail and text: the agency's own, never a worker's.
    """
    if none and (phone or email or hours):
        raise typer.BadParameter("--none: not together with --phone, --email or --hours")
    if not (none or phone or email or hours):
        console.print(f"{agency_id}: {escape(desks.printed(desks.of(agency_id)))}")
        return
    try:
        wanted = {"phone": phone, "email": email, "hours": [desks.hours(text) for text in hours or ()]}
    except desks.Invalid as error:
        raise typer.BadParameter(f"--hours: {error}") from None
    console.print(f"{agency_id}: {escape(desks.printed(desks.put(agency_id, None if none else wanted)))}")


@app.command()
def rotate(agency_id: AgencyId) -> None:
    """Give an agency another secret; the old one ends now, its tokens within five minutes."""
    place = Place.default()
    clients = Clients(place)
    client = _agency(clients, agency_id)
    _show(place, agency_id, clients.put(agency_id, client.kind, client.scopes))


@app.command()
def revoke(agency_id: AgencyId) -> None:
    """End an agency's access: no more tokens (those that it has end within five minutes), nor its topic.

    Its webhooks and e-mails are paused. Its cases stay.
    """
    place = Place.default()
    clients = Clients(place)
    clients.revoke(_agency(clients, agency_id).id)
    _pause(place, agency_id)
    kafka_agencies.dismiss_revoked(place, Stack(place).kafka)
    console.print(
        f"{agency_id} gets no more tokens. `onefriend agency add {agency_id} ...` gives it access again."
    )


@app.command()
def kafka(agency_id: AgencyId) -> None:
    """Let an agency read its feed from Kafka (needs `up --agencies-listener`), and show its password, once."""
    place = Place.default()
    _agency(Clients(place), agency_id)
    stack = Stack(place)
    if not stack.kafka or not stack.kafka.process() or not stack.kafka.listens_to_agencies:
        raise DidNotStart("Kafka does not listen to agencies: `onefriend up --agencies-listener`")
    password = secrets.token_urlsafe(32)
    kafka_agencies.admit(stack.kafka.bootstrap_servers, agency_id, password)
    told = {
        "bootstrap.servers": stack.kafka.agencies_servers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": agency_id,
        "sasl.password": password,
    }
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in told.items()))
    console.print("Keep the password now: nobody can read it again. It may read the topic")
    console.print(
        f"  {kafka_agencies.topic_of(agency_id)}, in groups whose names begin with {kafka_agencies.groups_of(agency_id)}"
    )


def _agency(clients: Clients, agency_id: str) -> Client:
    """The agency's client. Raises Unknown; also for a service or the operator, who go on with what `up` has given them."""
    client = clients.get(agency_id)
    if client.kind != "agency":
        raise Unknown(f"{agency_id} is no agency: see `onefriend agency list`")
    return client


def _pause(place: Place, agency_id: str) -> None:
    if not supervisor_of(place):
        console.print("Onefriend does not run: webhooks and e-mails are paused at the next `onefriend up`.")
        return
    try:
        paused = subscriptions.pause_of(agency_id)
    except DidNotStart as error:
        console.print(
            f"[yellow]Its webhooks and e-mails are not paused[/]: {escape(str(error))}. It is tried again at the next `up`."
        )
    else:
        console.print(f"{paused} of its webhooks and e-mail subscriptions are paused.")


def _tell_of_paused(agency_id: str) -> None:
    """Access that is given again resumes nothing: what was paused may go where nobody reads it any more."""
    try:
        paused = subscriptions.paused_of(agency_id)
    except DidNotStart as error:
        console.print(
            f"Webhooks and e-mails that it had are paused. How many is not known: {escape(str(error))}"
        )
        return
    if paused:
        console.print(
            f"{paused} of its webhooks and e-mail subscriptions stay paused since it was revoked. The agency resumes each "
            "itself, and is then sent what came meanwhile: GET /v1/subscriptions, then PATCH /v1/subscriptions/ID with "
            '{"active": true} and its ETag in If-Match.',
            markup=False,
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
