"""Servers that somebody else runs, named in the environment, over TLS and with SASL."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from deploy.local import kafka_agencies
from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.postgres import Postgres
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack
from deploy.local.topics import TOPICS, missing_topics
from shared.runtime.topics import Broker


@dataclass(frozen=True)
class Certificate:
    chain: str
    key: str


class Endings:
    """Takes PostgreSQL's request for TLS, as a pooler in front of it does, and passes on what was inside."""

    def __init__(self, port: int, pem: Path) -> None:
        self.port = port
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(pem)
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> int:
        self._thread.start()
        made = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = made.result(10)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # closed transports leave in the next turn of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(8) != bytes.fromhex("0000000804d2162f"):  # SSLRequest
            writer.close()  # who does not ask for TLS gets nothing
            return
        writer.write(b"S")
        await writer.start_tls(self.context)
        self.accepted += 1
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(_pass(reader, back), _pass(there, writer), return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    """Of 127.0.0.1, signed by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())


@pytest.fixture
def named_postgres(
    postgres: Postgres, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Endings]:
    """A server behind an ending of TLS (our build of PostgreSQL has none of its own); ONEFRIEND_POSTGRES names it."""
    (tmp_path / "both.pem").write_text(certificate.key + certificate.chain)
    authority = tmp_path / "ca.pem"
    authority.write_text(certificate.chain)
    postgres.start()
    ending = Endings(postgres.port, tmp_path / "both.pem")
    outside = postgres.url().replace(f":{postgres.port}/", f":{ending.start()}/")
    monkeypatch.setenv("ONEFRIEND_POSTGRES", f"{outside}?sslmode=verify-full&sslrootcert={authority}")
    yield ending
    ending.stop()


@pytest.fixture
def named_kafka(
    place: Place, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """A broker that takes SASL over TLS; ONEFRIEND_KAFKA names it."""
    ports = place.ports()
    inside = f"INTERNAL://127.0.0.1:{ports['kafka']},OUTSIDE://127.0.0.1:{ports['kafka-agencies']}"
    broker = Kafka(
        place,
        settings={
            "listeners": f"{inside},CONTROLLER://127.0.0.1:{ports['kafka-controller']}",
            "advertised.listeners": inside,
            "listener.security.protocol.map": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:SASL_SSL",
            "listener.name.outside.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.outside.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": certificate.chain.replace("\n", "\\n"),
            "ssl.keystore.key": certificate.key.replace("\n", "\\n"),
        },
    )
    broker.start()
    _add_user(broker, "onefriend", "let us in")
    authority = tmp_path / "ca of kafka.pem"
    authority.write_text(certificate.chain)
    named = (
        f"kafka://127.0.0.1:{ports['kafka-agencies']}?security=SASL_SSL&mechanism=SCRAM-SHA-512"
        f"&user=onefriend&password=let%20us%20in&ca={authority}"
    )
    monkeypatch.setenv("ONEFRIEND_KAFKA", named)
    yield named
    broker.stop()


def _add_user(broker: Kafka, user: str, password: str) -> None:
    kafka_agencies.set_password(broker.bootstrap_servers, user, password)


def test_postgresql_over_tls(
    named_postgres: Endings, bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONEFRIEND_KAFKA", bootstrap_servers)
    stack = Stack(Place(tmp_path, tmp_path).made())
    stack.start()
    assert stack.postgres is None
    assert stack.kafka is None
    url = stack.ensure_databases(("intake",))["intake"]
    before = named_postgres.accepted

    async def who() -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval("SELECT current_user"))
        finally:
            await connection.close()

    assert asyncio.run(who()) == "intake"
    assert named_postgres.accepted == before + 1
    stack.stop()  # what somebody else runs stays
    assert asyncio.run(who()) == "intake"


def test_kafka_over_sasl_and_tls(named_kafka: str, named_postgres: Endings, tmp_path: Path) -> None:
    stack = Stack(Place(tmp_path, tmp_path).made())
    stack.start()
    assert missing_topics(stack.client_settings(), TOPICS) == []

    async def produced() -> int:
        producer = AIOKafkaProducer(**Broker.parse(stack.broker).for_aiokafka())
        await producer.start()
        try:
            return int((await producer.send_and_wait("people", b"hello")).offset)
        finally:
            await producer.stop()

    assert asyncio.run(produced()) == 0


def test_a_wrong_password_is_no_way_in(
    named_kafka: str, named_postgres: Endings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONEFRIEND_KAFKA", named_kafka.replace("let%20us%20in", "wrong"))
    stack = Stack(Place(tmp_path, tmp_path).made())
    with pytest.raises(DidNotStart, match="ONEFRIEND_KAFKA: check address"):
        stack.start()


def test_what_cannot_be_read_says_what_to_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONEFRIEND_STACK", "podman")
    with pytest.raises(DidNotStart, match="embedded or containers, not podman"):
        Stack(Place(tmp_path, tmp_path).made())
