"""Run one of the real services as a process that trusts test tokens: `python -m tests.support.serve intake`."""

import importlib
import sys

from shared.runtime.service import Service, main
from shared.runtime.settings import RuntimeSettings
from tests.support.running import trust_test_tokens

NAME = sys.argv[1]
MAKE = importlib.import_module(f"services.{NAME}.service").build
SETTINGS = importlib.import_module(f"services.{NAME}.settings").Settings


def build(settings: RuntimeSettings) -> Service:
    """Return the service; other processes of the same test sign their tokens with the same key."""
    service: Service = MAKE(settings)
    trust_test_tokens(service)
    return service


main(build, SETTINGS, sys.argv[2:])
