"""Consent: may this person be contacted, by whom, how, now? The single source of truth on contact.

Owns: standing, leads, permits, approaches and attempts: the contact ledger of every person.
Consumes: `people` (who is who, holds, safe contact), `cases` (claims, limits, pauses), `agencies` (succession, deputies).
Publishes: `consent` (key person_id of the person spoken to).

Every other service proposes; this one disposes. When it cannot answer, the answer is no.
"""
