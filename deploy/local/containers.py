"""PostgreSQL and Kafka as containers, where there is a Docker daemon: ONEFRIEND_STACK=containers.

They live as long as the process that started them: nothing is kept, so this is for tests. Untried where this
was written, for want of a daemon.
"""

import time
from typing import Any
from urllib.parse import quote

from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.topics import can_produce

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "apache/kafka:4.3.1"
PATIENCE = 120


class Containers:
    """The two servers, started together."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._running: list[Any] = []

    def start(self) -> tuple[str, str]:
        """Start both.

        Returns:
            the URL of PostgreSQL's administrator, and Kafka's bootstrap servers.

        Raises:
            DidNotStart: without a Docker daemon, or if a server does not answer in time.
        """
        try:
            from testcontainers.core.container import DockerContainer  # noqa: PLC0415 -- a package of the developer's list
            from testcontainers.postgres import PostgresContainer  # noqa: PLC0415
        except ImportError as error:
            raise DidNotStart("ONEFRIEND_STACK=containers needs `make setup`") from error
        port = self.place.ports()["kafka"]
        try:
            postgres = PostgresContainer(
                POSTGRES_IMAGE, username="onefriend", password=self.place.secret("postgres")
            )
            kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
            for name, value in _kafka_environment(port).items():
                kafka = kafka.with_env(name, value)
            self._running = [postgres.start(), kafka.start()]
        except Exception as error:
            raise DidNotStart(
                f"Docker did not start the containers ({error}); without ONEFRIEND_STACK none is needed"
            ) from error
        password = quote(self.place.secret("postgres"), safe="")
        host, exposed = postgres.get_container_host_ip(), postgres.get_exposed_port(5432)
        self._wait(f"127.0.0.1:{port}")
        return f"postgresql://onefriend:{password}@{host}:{exposed}/test", f"127.0.0.1:{port}"

    def _wait(self, bootstrap_servers: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not can_produce(bootstrap_servers):
            if time.monotonic() > deadline:
                raise DidNotStart(
                    f"the Kafka container did not answer within {PATIENCE} s; see `docker logs`"
                )

    def stop(self) -> None:
        """Remove them and what they hold."""
        for container in self._running:
            container.stop()
        self._running = []


def _kafka_environment(port: int) -> dict[str, str]:
    settings = {
        "PROCESS_ROLES": "broker,controller",
        "NODE_ID": "1",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENERS": f"INTERNAL://:{port},CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"INTERNAL://127.0.0.1:{port}",
        "LISTENER_SECURITY_PROTOCOL_MAP": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    return {f"KAFKA_{name}": value for name, value in settings.items()}
