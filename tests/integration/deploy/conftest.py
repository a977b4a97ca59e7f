"""Servers that a test may kill, each in a folder of its own."""

from collections.abc import Iterator

import pytest

from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.postgres import Postgres
from tests.support.stack import outside_place


@pytest.fixture
def place() -> Iterator[Place]:
    with outside_place() as made:
        yield made


@pytest.fixture
def postgres(place: Place) -> Iterator[Postgres]:
    server = Postgres(place)
    yield server
    server.stop()


@pytest.fixture
def kafka(place: Place) -> Iterator[Kafka]:
    broker = Kafka(place)
    yield broker
    broker.stop()
