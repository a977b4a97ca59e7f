"""Points at which a test kills the process, to see that nothing is lost and nothing happens twice.

`ONEFRIEND_CRASH_AT=step:name` (`*` for any name; `step:name#3` for the third time) arms one point, or several,
separated by `|`: the process dies at whichever it passes first. `ONEFRIEND_CRASH_LOG=file` writes down each point when it is
first passed, which is how they are enumerated, and `died` and the point when the process dies. Unarmed, a point costs one
comparison. In a development stack only.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Literal

Step = Literal[
    "before_commit",
    "after_commit",
    "after_send",
    "after_acknowledge",
    "before_call",
    "after_call",
    "before_answer",
]

# A command's name holds the ids that it is about; the point is the same for all of them.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")

ARMED = False
_wanted: list[tuple[str, str, int]] = []
_log = ""
_seen: dict[str, int] = {}


def arm() -> None:
    """Read from the environment what is armed."""
    global ARMED, _log  # noqa: PLW0603 - one process has one set of points
    _log = os.environ.get("ONEFRIEND_CRASH_LOG", "")
    _wanted.clear()
    for point in filter(None, os.environ.get("ONEFRIEND_CRASH_AT", "").split("|")):
        step, _, rest = point.partition(":")
        name, _, count = rest.partition("#")
        _wanted.append((step, name, int(count or 1)))
    ARMED = bool(_wanted or _log)


def reach(step: Step, name: str) -> None:
    """Pass a point; end the process with SIGKILL if it is an armed one. Call it under `if crash.ARMED:`."""
    name = _ID.sub("{id}", name)
    point = f"{step}:{name}"
    _seen[point] = _seen.get(point, 0) + 1
    if _seen[point] == 1:
        _note(point)
    for wanted_step, wanted_name, count in _wanted:
        if wanted_step == step and wanted_name in {"*", name} and _times(step, wanted_name) >= count:
            _note(f"died {point}")
            os.kill(os.getpid(), signal.SIGKILL)


def _times(step: str, name: str) -> int:
    if name == "*":
        return sum(n for point, n in _seen.items() if point.startswith(f"{step}:"))
    return _seen[f"{step}:{name}"]


def _note(line: str) -> None:
    if _log:
        with Path(_log).open("a", encoding="utf-8") as log:
            log.write(line + "\n")


arm()
