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

    def start_postgres(self) -> str:
        """Start PostgreSQL; the URL of its administrator.

        Raises:
            DidNotStart: without a Docker daemon.
        """
        try:
            from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 -- a package of the developer's list

            password = self.place.secret("postgres")
            container = self._run(PostgresContainer(POSTGRES_IMAGE, username="onefriend", password=password))
        except Exception as error:
            raise _no_containers(error) from error
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        return f"postgresql://onefriend:{quote(password, safe='')}@{host}:{port}/test"

    def start_kafka(self) -> str:
        """Start Kafka; its bootstrap servers.

        Raises:
            DidNotStart: without a Docker daemon, or if it does not answer in time.
        """
        port = self.place.ports()["kafka"]
        try:
            from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only where Docker is

            container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
            for name, value in _kafka_environment(port).items():
                container = container.with_env(name, value)
            self._run(container)
        except Exception as error:
            raise _no_containers(error) from error
        self._wait(f"127.0.0.1:{port}")
        return f"127.0.0.1:{port}"

    def _run(self, container: Any) -> Any:  # noqa: ANN401 -- testcontainers has no common type that says what it offers
        started = container.start()
        self._running.append(started)
        return started

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


def _no_containers(error: Exception) -> DidNotStart:
    return DidNotStart(f"Docker did not start a container ({error}); without ONEFRIEND_STACK none is needed")


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
