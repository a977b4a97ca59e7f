"""Points at which a test kills the process, to see that nothing is lost and nothing happens twice.

`ONEFRIEND_CRASH_AT=step:name` (`*` for any name; `step:name#3` for the third time) arms one point, in a development stack
only; `ONEFRIEND_CRASH_LOG=file` writes down each point when it is first passed, which is how the points are enumerated.
Unarmed, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final, Literal

Step = Literal[
    "before_commit",
    "after_commit",
    "after_send",
    "after_acknowledge",
    "before_call",
    "after_call",
    "before_answer",
]

_AT: Final = os.environ.get("ONEFRIEND_CRASH_AT", "")
_LOG: Final = os.environ.get("ONEFRIEND_CRASH_LOG", "")
ARMED: Final = bool(_AT or _LOG)
_seen: dict[str, int] = {}


def reach(step: Step, name: str) -> None:
    """Pass a point; end the process with SIGKILL if it is the armed one. Call it under `if crash.ARMED:`."""
    point = f"{step}:{name}"
    _seen[point] = _seen.get(point, 0) + 1
    if _LOG and _seen[point] == 1:
        with Path(_LOG).open("a", encoding="utf-8") as log:
            log.write(point + "\n")
    if _AT:
        wanted_step, _, rest = _AT.partition(":")
        wanted_name, _, count = rest.partition("#")
        times = (
            sum(n for p, n in _seen.items() if p.startswith(f"{step}:"))
            if wanted_name == "*"
            else _seen[point]
        )
        if wanted_step == step and wanted_name in {"*", name} and times >= int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
