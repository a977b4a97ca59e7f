"""Planted bugs: a piece of the real source is replaced when it is imported, and some history must show what it does.

Each is planted in a process of its own before anything is imported. A text that is not found any more is an error.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bug:
    """One bug: in `module` the text `old`, which occurs once, becomes `new`; `also`: further such, where two walls hold."""

    name: str
    what: str
    module: str
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()

    def sources(self) -> dict[str, str]:
        """Return each module's source with the bug. Raises ValueError if it does not fit any more."""
        found: dict[str, str] = {}
        for module, old, new in ((self.module, self.old, self.new), *self.also):
            text = found.get(module) or ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
            if text.count(old) != 1:
                message = f"{self.name}: the text to replace occurs {text.count(old)} times in {module}"
                raise ValueError(message)
            found[module] = text.replace(old, new)
        return found


WORK, UNIT, SAVING, INBOX = (
    "shared.runtime.work",
    "shared.runtime.unit_of_work",
    "shared.runtime.saving",
    "shared.runtime.inbox",
)
OUTBOX, CONSUMER, QUARANTINE = "shared.runtime.outbox", "shared.runtime.consumer", "shared.runtime.quarantine"
UNREADABLE = "shared.runtime.unreadable"
RELEASES = "services.intake.domain.releases"
RELEASING, WITHDRAWING, PERMITS = (
    "services.intake.releasing",
    "services.intake.withdrawing",
    "services.consent.api.permits",
)

OF_CONSENT = "services.allocation.handlers.of_consent"
RESTORATION = "shared.runtime.restoration"
_FIRST_CLOSED = """                    await service.restored(service)
                forgotten = True
                log.error(
                    "the journal lacks what its topic has: the database was restored", extra={"topic": topic}
                )
                await _adopt_topic(service, topic)
"""
_FIRST_COMPLETE = """                    await _adopt_topic(service, topic)
                    await service.restored(service)
                forgotten = True
"""

BUGS: tuple[Bug, ...] = (
    Bug("commit_before_inbox", "a consumer's progress is not saved with its effects", CONSUMER,
        "consumed=lambda: consumed, label=label)", "label=label)"),
    Bug("jumps_are_applied", "an event is applied although one before it is missing", INBOX,
        "elif event.sequence == key.sequence + 1 and (", "elif event.sequence > key.sequence and (",
        ((INBOX, "event.previous != key.event_id:", "False:"),)),
    Bug("duplicates_are_applied", "an event that was applied is applied again", INBOX,
        "        if event.sequence <= key.sequence:\n", "        if False:\n"),
    Bug("restrictions_wait", "a restriction behind a parked event waits with the others", INBOX,
        "            if REGISTER[event.type].restrictive:\n", "            if False:\n"),
    Bug("key_not_held", "a key with a gap is not held", INBOX,
        "            key.held = True\n            touched.add(ref)\n", "            touched.add(ref)\n"),
    Bug("parked_later_stops_all", "an event that is parked out of its turn keeps those before it waiting", QUARANTINE,
        "        if parked is not None and parked <= after + 1:\n", "        if parked is not None:\n"),
    Bug("parked_key_not_held", "a parked key goes on as if nothing were missing", QUARANTINE,
        "            key.held = True\n", ""),
    Bug("gap_not_asked", "a gap is not asked of its source", QUARANTINE,
        "            missing = await self.source(topic, name, after)\n", "            missing = ()\n"),
    Bug("unreadable_not_asked", "nobody is asked about a record that was destroyed with its key", UNREADABLE,
        'told = await self.sources.tell_again(row["topic"], max(0.0, row["age"]))\n', "told = True\n"),
    Bug("released_while_waiting", "a key is let go of while events of it wait", QUARANTINE,
        "            if not busy:\n", "            if True:\n"),
    Bug("told_before_acknowledged", "the outbox forgets what was sent before the broker has it", OUTBOX,
        "        for future in await asyncio.gather(*pending, return_exceptions=True):\n"
        "            if isinstance(future, BaseException):\n                raise future\n",
        "        await asyncio.gather(*pending, return_exceptions=True)\n"),
    Bug("lost_topic_not_refilled", "a topic that was lost is not told again", OUTBOX,
        "            await connection.execute(_RETELL, topic, self._ids[topic])\n",
        "            await connection.execute(_RETELL, '', self._ids[topic])\n"),
    Bug("offers_only", "what memory has lost is not looked for in the outbox", OUTBOX,
        "        while found := await journal.untold(self._pool, self._source, after, BATCH):\n",
        "        while found := []:\n"),
    Bug("overtaken_is_published", "an event is published before the one before it", OUTBOX,
        "            if self._overtaken(fresh):\n", "            if False:\n"),
    Bug("offset_of_another_topic", "a topic that was made again is read from the old place", CONSUMER,
        'same = row is not None and row["topic_id"] == self._topic_ids.get(topic)\n', "same = row is not None\n"),
    Bug("group_not_locked", "linked people are not locked together", WORK,
        "        beyond = self._beyond()\n", "        beyond = {}\n"),
    Bug("behind_not_checked", "consent does not look whether it has applied intake's sequences", PERMITS,
        "    behind = any(applied[key] < sequence for key, sequence in body.seen.items())\n", "    behind = False\n"),
    Bug("third_step_without_look", "intake hands out without looking again", "services.intake.domain.releases",
        "    return withdrawn or late or set", "    return False and set"),
    Bug("withdrawal_not_stored_first", "a recorded withdrawal does not refuse releases", "services.intake.domain.releases",
        "    if withdrawn or any(", "    if any(",
        ((RELEASES, "    return withdrawn or late or set", "    return late or set"),)),
    Bug("withdrawal_tried_once", "a withdrawal that consent has not answered is not repeated", WITHDRAWING,
        "        for one in await intake.transact(store.due):\n", "        for one in []:\n"),
    Bug("withdrawal_of_one_id", "a withdrawal goes to consent without the ids it is known under", WITHDRAWING,
        "[one for one in found.people if one != known.person]", "[]"),
    Bug("not_made_never_told", "consent is not told of releases that were given up", RELEASING,
        '            await _tell_not_made(intake, row["permit"], row["fence"])\n', "            pass\n"),
    Bug("release_replayed", "a release that was handed out is handed out again", "services.intake.domain.releases",
        '    "asked": ("refused",),', '    "asked": ("refused", "handed_out", "asked", "given_up"),'),
    Bug("given_up_is_handed_out", "a release that was given up is handed out by the slow try",
        "services.intake.domain.releases", '    "handed_out": ("asked",),', '    "handed_out": ("asked", "given_up"),'),
    Bug("permit_timer_frees", "the timer of a permit frees it though it was redeemed", "services.consent.domain.permits",
        "live.id == permit and not live.redeemed and context.now >= live.expires",
        "live.id == permit and context.now >= live.expires",
        (("services.consent.store", '            work.cancel_timer("permit-expiry", event.permit)\n            work.timer(',
          "            work.timer("),)),
    Bug("redeemed_twice", "a permit is redeemed twice (and its release asked for twice)", "services.consent.domain.permits",
        '    if permit.redeemed:\n        return d.refuse("already_redeemed")\n    if context.now', "    if context.now",
        ((RELEASES, '    "asked": ("refused",),', '    "asked": ("refused", "handed_out", "asked"),'),)),
    Bug("parked_is_granted", "a permit is granted while an event of the person is parked", "services.consent.api.answers",
        "found.deputies, found.parked, ", "found.deputies, False, "),
    Bug("link_leaves_permits", "a link revokes nothing", "services.consent.domain.people",
        '    d.revoke(d.group(person), "linked")\n', ""),
    Bug("old_unlink_wins", "an older decision about a link undoes a newer one", "services.consent.domain.people",
        "    return known is None or number > known.number", "    return True"),
    Bug("clean_while_in_flight", "a withdrawal is answered clean while an attempt is under way",
        "services.consent.domain.choices", "and permit.redeemed and _concerns",
        "and False and _concerns",
        (("services.consent.domain.choices", "for permit in command.unaccounted if permit", "for permit in () if permit"),)),
    Bug("restored_is_trusted", "a restored database goes on as if nothing had been lost", RESTORATION,
        "                    await service.restored(service)\n", "                    pass\n",
        ((RESTORATION, "to be done.\n            await service.restored(service)\n", "to be done.\n            pass\n"),)),
    Bug("closed_when_complete", "a restored consent closes its door only once its journal is complete", RESTORATION,
        _FIRST_CLOSED, _FIRST_COMPLETE),
    Bug("releases_not_learned", "a restored consent opens without learning what intake has handed out",
        "services.consent.gateways", "        for release in page.releases:\n", "        for release in ():\n"),
    Bug("not_put_back", "what a restored journal lacks is not put back", RESTORATION,
        "                await _adopt_topic(service, topic)\n", "                pass\n"),
    Bug("reads_on_for_ever", "who begins waits for what a topic had that was lost meanwhile", RESTORATION,
        "            if not fetched:\n", "            if False:\n"),
    Bug("rows_before_the_batch", "who leads elsewhere is asked of rows that the batch has yet to write", OF_CONSENT,
        "    for case, state in work.locked(CASE).items():\n", "    for case, state in ():\n"),
    Bug("end_tells_its_own_cases", "the end of a lead is told to the cases that it was claimed for alone", OF_CONSENT,
        "*await cases_of(work, event.subject)}):\n        story = Story(work.state(CASE, case))\n        cases.lead_ended",
        "}):\n        story = Story(work.state(CASE, case))\n        cases.lead_ended"),
    Bug("move_tells_its_own_cases", "a lead that moves is told to the cases that it was claimed for alone", OF_CONSENT,
        "*await cases_of(work, event.subject)}):\n        story = Story(work.state(CASE, case))\n        cases.hand_over",
        "}):\n        story = Story(work.state(CASE, case))\n        cases.hand_over"),
    Bug("led_by_nobody_known", "a case is allocated to a lead elsewhere of which nobody knows whose it is",
        "services.allocation.domain.answers", " and elsewhere is not None:\n        agency, worker = elsewhere\n",
        ":\n        agency, worker = elsewhere or (None, None)\n"),
    Bug("assigned_over_a_lead", "the hub names another lead, and the case forgets the one that stands",
        "services.allocation.domain.cases", '    if known.place == "led":\n        if known.agency != agency:',
        '    if known.place == "led" and known.agency == agency:\n        if False:'),
    Bug("permit_outlives_lead", "a permit for another case stays when its holder's lead ends",
        "services.consent.domain.cases", '            d.revoke(group, "case_closed")\n', "            pass\n"),
    Bug("case_given_back_is_led", "an unlink that gives a lead back is not told to its case",
        "services.allocation.domain.answers", '    asked = known.claim == claim_id and known.place == "claimed"\n',
        '    asked = known.claim == claim_id and known.place == "claimed"\n    if not asked:\n        return False\n'),
    Bug("timer_lost", "timers are not saved", SAVING,
        "        if t.due_at is not None\n    ]\n", "        if False\n    ]\n"),
)  # fmt: skip


class _Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, bug: Bug) -> None:
        self._sources = bug.sources()

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._sources:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=fullname)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._sources[module.__name__], module.__name__, "exec"), module.__dict__)  # noqa: S102 - the project's own source


def plant(name: str, bugs: Sequence[Bug] = BUGS) -> None:
    """Plant one of these bugs in this process. Raises RuntimeError if what it is in was imported already."""
    bug = next(b for b in bugs if b.name == name)
    if there := sorted(set(bug.sources()) & set(sys.modules)):
        message = f"{', '.join(there)} is imported already"
        raise RuntimeError(message)
    sys.meta_path.insert(0, _Planter(bug))


def table(
    console: Console, find: Callable[[str], tuple[str, str, int, str]], only: Sequence[str] | None
) -> int:
    """Find every bug and print which promise it broke, after how many histories. Returns 0 if all were found."""
    lines = Table("planted bug", "what it does", "breaks", "histories", "how")
    chosen: Sequence[Bug] = [bug for bug in BUGS if only is None or bug.name in only]
    missed = 0
    for bug in chosen:
        _, broke, histories, how = find(bug.name)
        missed += broke == "NOT FOUND"
        lines.add_row(bug.name, bug.what, broke, str(histories), how)
        console.print(f"{bug.name}: {broke} after {histories}", highlight=False)
    console.print(lines)
    return 1 if missed else 0
