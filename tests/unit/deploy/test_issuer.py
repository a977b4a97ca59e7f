"""Tokens: who gets which, and that the services accept them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest

from deploy.local.clients import AGENCY_SCOPES, Clients, Unknown
from deploy.local.issuer import LIFETIME, Issuer, Refused, application
from deploy.local.place import Place
from shared.runtime.auth import TokenSource, Verifier


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path).made()


@pytest.fixture
def secret(place: Place) -> str:
    return Clients(place).put("beacon", "agency", AGENCY_SCOPES)


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(place))
    async with httpx.AsyncClient(transport=transport, base_url="http://issuer") as client:
        yield client


async def _ask(http: httpx.AsyncClient, secret: str, **fields: str) -> httpx.Response:
    return await http.post(
        "/token", auth=("beacon", secret), data={"grant_type": "client_credentials"} | fields
    )


async def test_the_services_accept_a_token_and_see_who_it_names(http: httpx.AsyncClient, secret: str) -> None:
    answer = await _ask(http, secret, worker="ada.k", scope="contact referrals.read")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    verifier = Verifier("http://issuer/.well-known/jwks.json", "onefriend", "onefriend", http)
    caller = await verifier.verify(answer.json()["access_token"])
    assert (caller.agency, caller.worker, caller.kind) == ("beacon", "ada.k", "agency")
    assert caller.scopes == {"contact", "referrals.read"}


async def test_a_service_gets_its_own_token_the_way_the_runtime_asks(
    http: httpx.AsyncClient, place: Place
) -> None:
    secret = Clients(place).put("intake", "service", ["internal"])
    token = await TokenSource("http://issuer/token", "intake", secret, http).token()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["agency"], claims["kind"], claims["scope"]) == ("intake", "service", "internal")
    assert claims["exp"] - claims["iat"] == LIFETIME <= 300


async def test_credentials_in_the_form_do_as_well(http: httpx.AsyncClient, secret: str) -> None:
    fields = {"grant_type": "client_credentials", "client_id": "beacon", "client_secret": secret}
    assert (await http.post("/token", data=fields)).status_code == 200


@pytest.mark.parametrize(("client", "right"), [("beacon", False), ("nobody", True), ("", False)])
async def test_wrong_credentials_look_all_the_same(
    http: httpx.AsyncClient, secret: str, client: str, right: bool
) -> None:
    auth = (client, secret if right else "wrong")
    answer = await http.post("/token", auth=auth, data={"grant_type": "client_credentials"})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_more_than_the_client_may_is_refused_and_says_what_it_may(
    http: httpx.AsyncClient, secret: str
) -> None:
    answer = await _ask(http, secret, scope="operator contact")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert "has no scope operator; it has referrals.write" in answer.json()["error_description"]


@pytest.mark.parametrize("worker", ["two words", "x" * 65, "<b>", "-"])
async def test_a_worker_that_cannot_be_is_refused(http: httpx.AsyncClient, secret: str, worker: str) -> None:
    assert (await _ask(http, secret, worker=worker)).json()["error"] == "invalid_request"


async def test_no_other_grant(http: httpx.AsyncClient, secret: str) -> None:
    answer = await _ask(http, secret, grant_type="password")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_malformed_basic_credentials_are_no_crash(http: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Basic !!!"}
    answer = await http.post("/token", headers=headers, data={"grant_type": "client_credentials"})
    assert answer.status_code == 401


async def test_a_running_issuer_sees_rotation_and_revocation_at_once(
    http: httpx.AsyncClient, secret: str, place: Place
) -> None:
    elsewhere = Clients(place)
    another = elsewhere.put("beacon", "agency", AGENCY_SCOPES)
    assert (await _ask(http, secret)).status_code == 401
    assert (await _ask(http, another)).status_code == 200
    elsewhere.revoke("beacon")
    assert (await _ask(http, another)).status_code == 401
    with pytest.raises(Unknown, match="beacon"):
        elsewhere.get("beacon")


def test_a_service_has_no_worker(place: Place) -> None:
    clients = Clients(place)
    clients.put("intake", "service", ["internal"])
    with pytest.raises(Refused, match="worker"):
        Issuer(place).token(clients.get("intake"), worker="ada")


def test_the_key_stays_the_same_and_is_private(place: Place) -> None:
    assert Issuer(place).jwks == Issuer(place).jwks
    assert (place.home / "issuer" / "signing-key.pem").stat().st_mode & 0o077 == 0
    assert "d" not in Issuer(place).jwks["keys"][0]


def test_no_secret_is_stored(place: Place, secret: str) -> None:
    assert all(secret not in path.read_text() for path in (place.home / "issuer").iterdir())


@pytest.mark.parametrize(
    "address", ["http://[x", "http://127.0.0.1:99999999/", "http://elsewhere.example/", ""]
)
async def test_signing_in_for_an_address_that_is_not_the_dashboards_is_refused(
    http: httpx.AsyncClient, address: str
) -> None:
    asked = {"client_id": "dashboard", "redirect_uri": address, "response_type": "code"}
    assert (await http.get("/authorize", params=asked)).status_code == 400
