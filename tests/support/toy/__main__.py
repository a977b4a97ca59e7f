"""Run one of the toy services as a process of its own: `python -m tests.support.toy teller|listener`.

TOY_MIGRATIONS names another folder of migrations: a later release.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends

from shared.runtime.service import Service, current_service, main
from shared.runtime.settings import RuntimeSettings
from shared.runtime.unit_of_work import AlreadyDone
from tests.support.running import trust_test_tokens
from tests.support.toy import Listener, tell, teller

router = APIRouter()


@router.post("/v1/tell/{key}/{command}")
async def tell_over_http(
    key: str, command: str, service: Annotated[Service, Depends(current_service)]
) -> dict[str, bool]:
    """Record one event, once for each command id."""
    with contextlib.suppress(AlreadyDone):
        await tell(service, key, command_id=command)
    return {"told": True}


def build(settings: RuntimeSettings) -> Service:
    service = teller(settings) if sys.argv[1] == "teller" else Listener().service(settings)
    service.routers = [router]
    if later := os.environ.get("TOY_MIGRATIONS"):
        service.migrations = Path(later)
    trust_test_tokens(service)
    return service


main(build, RuntimeSettings, sys.argv[2:])
