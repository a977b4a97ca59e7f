"""Where the broker is, as a setting says it: what cannot be understood is refused, never passed over."""

import pytest

from shared.runtime.topics import Broker


def test_a_list_of_servers_is_enough() -> None:
    broker = Broker.parse("one:9092,two:9092")
    assert broker.for_aiokafka() == {"bootstrap_servers": "one:9092,two:9092"}
    assert broker.for_librdkafka()["bootstrap.servers"] == "one:9092,two:9092"


def test_both_clients_are_told_the_same_mechanism_where_none_is_named() -> None:
    broker = Broker.parse("kafka://one:9093?security=SASL_PLAINTEXT&user=us&password=a%2Bb%26c")
    assert (
        broker.for_aiokafka()["sasl_mechanism"]
        == broker.for_librdkafka()["sasl.mechanism"]
        == "SCRAM-SHA-512"
    )
    assert broker.for_aiokafka()["sasl_plain_password"] == broker.for_librdkafka()["sasl.password"] == "a+b&c"


@pytest.mark.parametrize(
    "setting",
    [
        *("http://one:9092", "kafka://", "kafka://us:secret@one:9093"),
        "kafka://one:9093?securty=SASL_SSL&user=us&password=secret",
        "kafka://one:9093?security=sasl_ssl&user=us&password=secret",
        "kafka://one:9093?security=SASL_SSL&mechanism=GSSAPI&user=us&password=secret",
        "kafka://one:9093?security=SASL_SSL&user=us",
        "kafka://one:9093?user=us&password=secret",
        "kafka://one:9093?security=SASL_SSL&user=us&password=sec&ret",
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_password(setting: str) -> None:
    with pytest.raises(ValueError, match="ONEFRIEND_KAFKA: ") as refused:
        Broker.parse(setting)
    assert "sec" not in str(refused.value).replace("security", "")
    assert "ret" not in str(refused.value)
