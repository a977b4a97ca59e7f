"""Servers that run already, named in the environment, each by one variable.

ONEFRIEND_POSTGRES  postgresql://role:password@host:5432/postgres?sslmode=verify-full&sslrootcert=/etc/ca.pem
                    a role that may create roles and databases; the query goes into each service's URL as well
ONEFRIEND_KAFKA     host:9092,other:9092
                    or with what a client needs beyond that:
                    host:9093?security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512&sasl_username=onefriend&
                    sasl_password=...&ssl_cafile=/etc/ca.pem&ssl_certfile=...&ssl_keyfile=...&replication=3
"""

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from deploy.local.processes import DidNotStart

# Our name, as aiokafka has it, to librdkafka's.
KAFKA_SETTINGS = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_username": "sasl.username",
    "sasl_password": "sasl.password",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
}
REPLICATION = "replication"  # of topics that are made; not a setting of clients


def kafka_configuration(named: str) -> dict[str, Any]:
    """The configuration of librdkafka from what ONEFRIEND_KAFKA says.

    Raises:
        DidNotStart: naming the setting that is not known.
    """
    servers, settings = _split(named)
    translated = {KAFKA_SETTINGS[key]: value for key, value in settings.items() if key != REPLICATION}
    return {"bootstrap.servers": servers} | translated


def replication(named: str) -> int:
    """Of the topics to make there; -1 leaves it to the broker."""
    return int(_split(named)[1].get(REPLICATION, "-1"))


def _split(named: str) -> tuple[str, dict[str, str]]:
    servers, _, query = named.partition("?")
    settings = dict(parse_qsl(query, strict_parsing=bool(query)))
    unknown = sorted(set(settings) - set(KAFKA_SETTINGS) - {REPLICATION})
    if unknown or not servers:
        known = ", ".join([*KAFKA_SETTINGS, REPLICATION])
        wrong = ", ".join(unknown) or "no server"
        raise DidNotStart(f"ONEFRIEND_KAFKA: {wrong}; it is host:port?setting=value with {known}")
    return servers, settings


def database_url(admin_url: str, database: str, user: str, password: str) -> str:
    """The URL of another database on the same server, for another user, with the same TLS settings."""
    parts = urlsplit(admin_url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
        raise DidNotStart("ONEFRIEND_POSTGRES is postgresql://role:password@host:port/database?sslmode=...")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{host}:{parts.port or 5432}"
    return urlunsplit(
        ("postgresql", f"{user}:{quote(password, safe='')}@{place}", f"/{database}", parts.query, "")
    )
