"""Sentences for those who ask why: what decided, and of each rule before it, the first condition that failed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from services.allocation.policy.context import Match
from services.allocation.policy.model import Condition, Rule
from services.allocation.policy.shapes import Section
from shared.contracts.envelope import Hours

YES_OR_NO: Final = {
    "yes": ("{}", "it is so"),
    "no": ("it is not so that {}", "it is not"),
    "unknown": ("nobody has said whether {}", "nobody has said"),
}


def fired(section: Section, rule: Rule, outcome: str) -> str:
    """Say what decided: `Delivery: Remedi, by rule 'remedi' of south-yorkshire: Remedi is the partnership's deliverer`."""
    return f"{section.says}: {outcome}, by rule '{rule.id}' of {rule.policy}: {rule.because.rstrip('.')}."


def passed_over(section: Section, rule: Rule, match: Match) -> str:
    """Say why not: `Delivery: not by 'panel': the stage is custody, and the rule is for non crime`."""
    if match.failed is None:
        raise ValueError("the rule applied: nothing failed")
    condition, found = match.failed, match.found
    if len(found) == 1 and set(condition.written) <= YES_OR_NO.keys():
        is_so = YES_OR_NO[found[0]][0].format(condition.attribute.says)
    else:
        is_so = f"{condition.attribute.says} {listed(found, 'and') if found else 'unknown'}"
    return f"{section.says}: not by '{rule.id}': {is_so}, and the rule is for {asked(condition)}."


@lru_cache(maxsize=1024)
def outcome(effect: msgspec.Struct) -> str:
    """What a rule asks for, in a few words: `facilitators 2, training complex`."""
    parts = []
    for name in effect.__struct_fields__:
        value = getattr(effect, name)
        if value is None or value == () or name in {"choose", "team"}:
            continue
        words = name.replace("_", " ")
        if name in {"word", "forms", "to", "queue", "roles"}:
            parts.append(listed(value if isinstance(value, tuple) else (value,), "or"))
        elif isinstance(value, bool):
            parts.append(words if value else f"no {words}")
        elif isinstance(value, Hours):
            parts.append(f"{value.start:%H:%M} to {value.until:%H:%M}")
        elif isinstance(value, tuple):
            flat = (" or ".join(item) if isinstance(item, tuple) else item for item in value)
            parts.append(f"{words} {listed(flat, 'and')}")
        else:
            parts.append(f"{words} {value}".replace("_", " "))
    return ", ".join(parts) or "as others"


def listed(words: Iterable[str], joint: str = "or") -> str:
    """Join words as people do: `custody, licence or street`."""
    plain = [word.replace("_", " ") for word in words]
    return f" {joint} ".join([", ".join(plain[:-1]), plain[-1]] if len(plain) > 1 else plain)


def asked(condition: Condition) -> str:
    """What a condition is for: `custody or licence`, `anything but theft`, `when it is so`."""
    if set(condition.written) <= YES_OR_NO.keys():
        return "when " + " or ".join(YES_OR_NO[word][1] for word in condition.written)
    words = listed(condition.written)
    return f"anything but {words}" if condition.excepting else words
