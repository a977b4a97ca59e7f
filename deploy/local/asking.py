"""What a command asks of the running services, as an operator or as an agency, and what they refused in a sentence."""

import httpx

from deploy.local import services
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.supervisor import supervisor_of
from shared.runtime.identifiers import new_id

PATIENCE = 120.0  # seconds: a dry run of a policy decides each case twice


class NotDone(DidNotStart):
    """What Onefriend refused, in its own words. `kind` is the problem's, `code` its detail."""

    def __init__(self, text: str, kind: str = "", code: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code


def ask(
    service: str,
    method: str,
    path: str,
    *,
    who: str = "operator",
    worker: str | None = None,
    json: object = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Ask a service of the running stack.

    Raises:
        DidNotStart: if nothing runs, or the service does not answer.
        NotDone: with what it refused.
    """
    place = running()
    token = Issuer(place).token(Clients(place).get(who), worker=worker)
    sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": f'"{new_id()}"', **(headers or {})}
    address = services.url(place, service) + path
    try:
        answer = httpx.request(method, address, headers=sent, json=json, timeout=PATIENCE)
    except httpx.HTTPError as error:
        raise DidNotStart(
            f"{service} does not answer ({type(error).__name__}): `onefriend doctor` says why"
        ) from None
    if not answer.is_success:
        raise refusal(service, answer)
    return answer


def running() -> Place:
    """The place, if its stack runs.

    Raises:
        DidNotStart: if it does not.
    """
    place = Place.default()
    if not supervisor_of(place):
        raise DidNotStart("Onefriend does not run here: `onefriend up` first")
    return place


def refusal(service: str, answer: httpx.Response) -> NotDone:
    """An answer that says no, as people read it."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict) or "title" not in problem:
        return NotDone(f"{service} answered {answer.status_code}: `onefriend logs {service}` says why")
    lines = [f"{one['field']}: {one['problem']}. {one['remedy']}" for one in problem.get("errors", ())]
    said = "\n".join(filter(None, [problem["title"], problem.get("detail"), *lines]))
    return NotDone(said, str(problem.get("type", "")).rpartition("/")[2], str(problem.get("detail") or ""))
