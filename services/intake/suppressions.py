"""What is kept of the "no" of somebody erased, or not known yet: narrow composites that a later referral meets."""

from __future__ import annotations

from services.intake.matching import Record, model
from services.intake.matching.names import sound


def suppression_texts(record: Record) -> list[str]:
    """Return the composites: name with birth date, name with postcode; each telephone, e-mail and identifier.

    Either goes with the name alone: who was known by no more than a name and a birth date, or a name and a home, must be met
    again, and so must who has moved since.

    Names as they sound and by their formal form, so that "Liz Smyth" meets Elizabeth Smith's "no". A hit holds a referral
    for a human to look at; it never decides.
    """
    root = model.packaged().forenames.root
    texts = [f"phone:{number}" for number in record.phones]
    texts += [f"email:{address}" for address in record.emails]
    texts += [
        f"identifier:{kind}|{number}" for kind, number in record.identifiers if not kind.startswith("own-")
    ]
    families = sorted({sound(name) for name in (*record.surnames, *record.former)})
    given = sorted({root(name) for name in (*record.forenames[:1], *record.also_called)})
    marks = [f"born {record.date_of_birth}"] if record.date_of_birth else []
    marks += [f"home {postcode}" for postcode in record.postcodes]
    return texts + [
        f"person:{first}|{family}|{mark}" for first in given for family in families for mark in marks
    ]
