"""The database and the broker of one place: embedded, or named in the environment, or containers.

ONEFRIEND_POSTGRES      postgresql://role:password@host:5432/postgres?sslmode=verify-full&sslrootcert=/etc/ca.pem
                        a role that may create roles and databases; the query goes into each service's URL too
ONEFRIEND_KAFKA         host:9092,other:9092 or
                        kafka://host:9093?security=SASL_SSL&mechanism=SCRAM-SHA-512&user=...&password=...&ca=...
ONEFRIEND_REPLICATION   of topics that are made there; the broker's own default without it
ONEFRIEND_STACK         containers: both by testcontainers, where there is Docker
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import psutil
from confluent_kafka import KafkaException

from deploy.local import training
from deploy.local.containers import Containers
from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.postgres import Postgres, ensure_databases, on_same_server
from deploy.local.processes import DidNotStart, Tell, memory
from deploy.local.topics import ensure_topics

SERVICES = ("intake", "consent", "allocation", "notifications", "dashboard")

NAMED_POSTGRES = "ONEFRIEND_POSTGRES: check address, role, password, sslmode; it must be allowed to make roles and databases"


def _quiet(_part: str, _doing: str) -> None:
    pass


class Stack:
    """Servers for the services: what is ours is started or adopted, what somebody else runs is checked.

    Attributes:
        postgres: the embedded server, or None if ONEFRIEND_POSTGRES names one or containers are asked for.
        kafka: the embedded broker, or None likewise.
        admin_url: PostgreSQL URL of a role that may create databases (after `start`).
        broker: what services get as ONEFRIEND_KAFKA (after `start`).
    """

    def __init__(self, place: Place, *, agencies: bool = False) -> None:
        self.place = place
        kind = os.environ.get("ONEFRIEND_STACK", "embedded")
        if kind not in {"embedded", "containers"}:
            raise DidNotStart(f"ONEFRIEND_STACK is embedded or containers, not {kind}")
        self._containers = Containers(place) if kind == "containers" else None
        self._named_postgres = os.environ.get("ONEFRIEND_POSTGRES")
        self._named_kafka = os.environ.get("ONEFRIEND_KAFKA")
        self.postgres = None if self._named_postgres or self._containers else Postgres(place)
        self.kafka = None if self._named_kafka or self._containers else Kafka(place, agencies=agencies)
        self.admin_url = self._named_postgres or ""
        self.broker = self._named_kafka or ""

    def start(self, progress: Tell = _quiet) -> None:
        """Bring both up and make the topics; can be repeated.

        Two processes that start one place wait for each other.

        Raises:
            DidNotStart: with the reason and the remedy.
        """
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(self.start_database, progress), pool.submit(self.start_broker, progress)]
            for each in both:
                each.result()

    def start_database(self, progress: Tell = _quiet) -> None:
        """The half of `start` without which no service can begin."""
        with self.place.lock("start-database"):
            if self._containers:
                self.admin_url = self._named_postgres or self._containers.start_postgres()
            if self.postgres:
                progress("PostgreSQL", "starting")
                self.postgres.start()
                self.admin_url = self.postgres.url()
            progress("PostgreSQL", "ready")

    def settle_broker(self) -> bool:
        """Fix where the broker will answer. Whether that is known before it has started."""
        if self.kafka and self.kafka.has_data:
            self.kafka.settle_ports()
            self.broker = self.kafka.bootstrap_servers
        return bool(self.broker)

    def start_broker(self, progress: Tell = _quiet) -> None:
        """The other half: the broker and its topics."""
        with self.place.lock("start-broker"):
            self._start_kafka(progress)

    def _start_kafka(self, progress: Tell) -> None:
        if self._containers:
            self.broker = self._named_kafka or self._containers.start_kafka()
        if self.kafka:
            self.kafka.start(progress=lambda doing: progress("Kafka", doing))
            self.broker = self.kafka.bootstrap_servers
            training.begin(self.place)
        try:
            ensure_topics(
                self.client_settings(), replication=int(os.environ.get("ONEFRIEND_REPLICATION", "-1"))
            )
        except KafkaException as error:
            look = (
                "ONEFRIEND_KAFKA: check address, user, password, ca"
                if self._named_kafka
                else "`onefriend logs kafka`"
            )
            raise DidNotStart(f"the broker did not make the topics ({error}). {look}") from None
        progress("Kafka", "ready")

    def client_settings(self) -> Mapping[str, str | int | float | bool]:
        """For a confluent-kafka client of the broker.

        Raises:
            DidNotStart: if ONEFRIEND_KAFKA cannot be read.
        """
        from shared.runtime.topics import Broker  # noqa: PLC0415 -- brings aiokafka: half of the command line's start

        try:
            return Broker.parse(self.broker).for_librdkafka()
        except ValueError as error:
            raise DidNotStart(str(error)) from None

    def ensure_databases(self, services: tuple[str, ...] = SERVICES) -> dict[str, str]:
        """A database with its own role for each service.

        Returns:
            URL by service.

        Raises:
            DidNotStart: with the reason and the remedy.
        """
        passwords = {service: self.place.secret(f"database/{service}") for service in services}
        try:
            ensure_databases(self.admin_url, passwords)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            look = NAMED_POSTGRES if self._named_postgres else "`onefriend logs postgres`"
            raise DidNotStart(f"the database did not make what the services need ({error}). {look}") from None
        return {
            service: on_same_server(self.admin_url, service, service, password)
            for service, password in passwords.items()
        }

    def stop(self) -> None:
        """Stop what is ours; what somebody else runs stays."""
        with self.place.lock("start-database"), self.place.lock("start-broker"):
            if self._containers:
                self._containers.stop()
            if self.kafka:
                self.kafka.stop()
            if self.postgres:
                self.postgres.stop()

    def ended(self) -> list[str]:
        """Which of the servers that are ours do not run."""
        ours = [("PostgreSQL", self.postgres), ("Kafka", self.kafka)]
        return [name for name, server in ours if server and server.process() is None]

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Of the servers that are ours."""
        return {
            "PostgreSQL": self.postgres.processes() if self.postgres else [],
            "Kafka": self.kafka.processes() if self.kafka else [],
        }

    def memory(self) -> dict[str, int]:
        """Bytes by server (PSS)."""
        return {name: memory(found) for name, found in self.processes().items()}
