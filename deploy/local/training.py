"""A broker that runs once so that Java learns which classes it loads: later starts take half the time.

It runs beside the real one, at the lowest priority, after the first start of a place:
`python -m deploy.local.training <home>`.
"""

import shutil
import sys
from pathlib import Path

from confluent_kafka import Consumer

from deploy.local import jars
from deploy.local.kafka import Kafka
from deploy.local.place import Busy, Place
from deploy.local.processes import spawn
from deploy.local.topics import READY, configuration

PATIENCE = 300  # seconds that Java may take to write the file, at the lowest priority on a busy machine


def begin(place: Place) -> None:
    """Start it in the background if the file is not there; of two at once the second ends by itself."""
    classpath = jars.ensure(place.shared / "jars", lambda _done, _of: None)
    if not Kafka(place).cache(classpath).exists():
        command = [sys.executable, "-m", "deploy.local.training", str(place.shared)]
        spawn(command, log=place.log("training"), folder=Path(__file__).parents[2], gently=True)


def train(place: Place) -> None:
    """Run the broker, produce and consume, end it, and put the file where the next start looks for it."""
    classpath = jars.ensure(place.shared / "jars", lambda _done, _of: None)
    draft = place.home / "kafka" / "training.aot"
    broker = Kafka(place, training=draft)
    final = broker.cache(classpath)
    if final.exists():
        return
    for old in final.parent.glob("classes-*.aot"):
        old.unlink()
    broker.start(timeout=PATIENCE)
    _consume(broker.bootstrap_servers)
    broker.stop(grace=PATIENCE)  # the file is written while Java ends
    if draft.exists():
        draft.replace(final)


def _consume(bootstrap_servers: str) -> None:
    settings = configuration(bootstrap_servers) | {"group.id": "training", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([READY])
    consumer.consume(1, timeout=10)
    consumer.commit()
    consumer.close()


def main() -> None:
    """Train for the home given as the argument, unless another process does."""
    home = Path(sys.argv[1])
    place = Place(home / "training", home).made()
    try:
        with place.lock("training", wait=False):
            Kafka(place).kill()  # one whose trainer was killed
            train(place)
            shutil.rmtree(place.home)
    except Busy:
        pass


if __name__ == "__main__":
    main()
