"""The runtime's exceptions: one tree, so that a caller can say which kind it means."""

from __future__ import annotations


class RuntimeFault(Exception):
    """Anything that the runtime raises on purpose."""


class StartOver(RuntimeFault):
    """The transaction must be run again from the beginning, with more keys locked. Never leaves the unit of work."""


class Conflict(RuntimeFault):
    """Another transaction saved the same key first. The unit of work runs the function again."""


class Unavailable(RuntimeFault):
    """Another service, the database or the broker did not answer. Means: do not contact.

    `nothing_done`: it is certain that what was asked for has not happened, and will not by this request.
    """

    def __init__(self, message: str = "", *, nothing_done: bool = False) -> None:
        """Say what does not answer."""
        super().__init__(message)
        self.nothing_done = nothing_done


class UnknownEvent(RuntimeFault):
    """An event whose type or version is not in the register: quarantined, never guessed at."""


class BadMessage(RuntimeFault):
    """Bytes that cannot be an event: no trustworthy key or sequence, so nothing is parked."""
