"""Agencies as users of the broker's second listener: each reads its own topic, in groups of its own, and nothing else.

Needs `onefriend up --agencies-listener`. What is read there is thin, like a webhook: that a case changed.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from deploy.local.clients import Clients
from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.topics import configuration, ensure_topics

ITERATIONS = 8192


def topic_of(agency_id: str) -> str:
    """The topic of an agency's feed."""
    return f"agency.{agency_id}.cases"


def groups_of(agency_id: str) -> str:
    """What the names of its consumer groups must begin with."""
    return f"agency.{agency_id}."


def admit(broker: str | Mapping[str, Any], agency_id: str, password: str) -> None:
    """Let an agency in, or give it another password; its topic is made."""
    ensure_topics(broker, [topic_of(agency_id)])
    set_password(broker, agency_id, password)
    admin = AdminClient(configuration(broker))
    for answer in admin.create_acls(_rights(agency_id)).values():
        answer.result(timeout=10)


def set_password(broker: str | Mapping[str, Any], user: str, password: str) -> None:
    """Make a user of the broker, or give one another password. Without ACLs that is nothing yet."""
    admin = AdminClient(configuration(broker))
    mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted = UserScramCredentialUpsertion(user, mechanism, password.encode())
    for answer in admin.alter_user_scram_credentials([wanted]).values():
        answer.result(timeout=10)


def dismiss_revoked(place: Place, kafka: Kafka | None) -> None:
    """End the access of every agency whose credentials are revoked, if the broker is ours and runs.

    Where it does not run nobody reads there, and the next `up` ends it.

    Raises:
        DidNotStart: if the broker does not do it.
    """
    revoked = [client.id for client in Clients(place).all().values() if client.revoked]
    if kafka is None or not revoked or not kafka.process():
        return
    try:
        for agency_id in revoked:
            dismiss(kafka.bootstrap_servers, agency_id)
    except KafkaException as error:
        raise DidNotStart(
            f"the broker did not end the access of {', '.join(revoked)} ({error}): `onefriend doctor`, then "
            "`onefriend down` and `up`, which ends it"
        ) from None


def dismiss(broker: str | Mapping[str, Any], agency_id: str) -> None:
    """End its access. Its topic stays."""
    admin = AdminClient(configuration(broker))
    gone = UserScramCredentialDeletion(agency_id, ScramMechanism.SCRAM_SHA_512)
    for answer in admin.alter_user_scram_credentials([gone]).values():
        try:
            answer.result(timeout=10)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.RESOURCE_NOT_FOUND:
                raise
    everything = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any name; their annotation forgets it
        ResourcePatternType.ANY,
        f"User:{agency_id}",
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for answer in admin.delete_acls([everything]).values():
        try:
            answer.result(timeout=10)
        except KafkaException as error:
            # Started without the agencies' listener it looks at no rights, and lets none of them in.
            if error.args[0].code() != KafkaError.SECURITY_DISABLED:
                raise


def _rights(agency_id: str) -> list[AclBinding]:
    own = (
        (ResourceType.TOPIC, topic_of(agency_id), ResourcePatternType.LITERAL),
        (ResourceType.GROUP, groups_of(agency_id), ResourcePatternType.PREFIXED),
    )
    return [
        AclBinding(kind, name, pattern, f"User:{agency_id}", "*", AclOperation.READ, AclPermissionType.ALLOW)
        for kind, name, pattern in own
    ]
