"""An exit of a quarantined event that cannot be taken says what to do instead."""

import inspect
import re

from shared.runtime import operations, quarantine, unreadable


def test_every_refusal_has_its_remedy() -> None:
    sources = "".join(inspect.getsource(module) for module in (quarantine, unreadable))
    refusals = set(re.findall(r'NotNow\("(\w+)"\)', sources)) - {"no_such_entry"}
    assert refusals == set(operations._WHAT_TO_DO)
