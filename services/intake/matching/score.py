"""One record against everybody who might be the same human: join, hold or different, and why.

Bits of evidence become odds with a prior that follows the size of the store; the odds are then shared out between the
candidates, so that two good ones are a doubt. Explicit rules stand above the score and can only make it more careful.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Literal, NamedTuple

from services.intake.matching import model as models
from services.intake.matching.blocking import KINDS, kind_of
from services.intake.matching.evidence import Evidence, compare
from services.intake.matching.model import Model
from services.intake.matching.record import Record
from services.intake.matching.rules import Rule, sentence, standing_rules

Answer = Literal["join", "hold", "different"]
_NEW_EVIDENCE = (
    6.0  # bits more than a person had when deciding "not the same": worth asking that person again
)
_OUT_OF_REACH = (
    10.0  # bits below a doubt: who is so unlikely is nobody's rival, and most of those compared are
)
_SUPPOSED = 10  # referrals about somebody known, and as many about somebody new, supposed before the first
# Shares of referrals. No labelled stream knew more than half of them before, so nothing shows how often a coincidence is
# wrong where more are known: such a store is held to what was measured.
_LEAST_KNOWN, _MOST_KNOWN = 0.02, 0.5
_LASTING = frozenset(
    {Rule.IDENTIFIERS_DIFFER, Rule.BIRTH_DATES_FAR_APART, Rule.PARENT_AND_CHILD, Rule.TOLD_APART}
)
_SETTLING = (("date_of_birth", "date_of_birth"), ("postcode", "postcodes"), ("telephone", "phones"))


class Candidate(NamedTuple):
    """One stored record and the person (or group of linked persons) that it belongs to.

    `told_apart` is the evidence in bits at the time when a human decided "not the same" of this person; None if nobody did.
    """

    person: str
    record: Record
    told_apart: float | None = None


class Rival(NamedTuple):
    """One person who might be meant. `odds` in bits, prior included, before it is shared out between rivals."""

    person: str
    odds: float
    evidence: Evidence
    rules: frozenset[Rule]


@dataclass(frozen=True, slots=True)
class Decision:
    """`people`: whom to join (one), or whom the doubt is about, best first. `score`: bits, normalised against the rivals.

    `evidence` is the table of the first of them (or of who came nearest), `others` those of the rest, in the same order.
    `ask` names the field that would settle a hold: the agency that sent the record is asked, not a reviewer.
    Nothing in here is personal data.
    """

    answer: Answer
    reasons: tuple[str, ...]
    people: tuple[str, ...]
    score: float
    evidence: Evidence | None
    ask: str
    sentence: str
    model: str
    others: tuple[Evidence, ...] = ()


def identity_incomplete(record: Record) -> bool:
    """No more than a name (and sex): nobody can be told from anybody."""
    return not (
        record.date_of_birth
        or record.postcodes
        or record.homes
        or record.phones
        or record.emails
        or record.identifiers
    )


def decide(
    record: Record,
    candidates: Sequence[Candidate],
    *,
    people_in_store: int,
    referrals_in_store: int | None = None,
    hot: Collection[str] = (),
    model: Model | None = None,
) -> Decision:
    """Who the record is.

    `candidates` are all stored records that share a key with it; `hot` the keys whose bound was hit (plain, not their
    HMACs). The prior: the more people, the more of them are alike by chance; the more referrals there were of so many
    people, the likelier it is that somebody is known, up to what was measured.
    """
    model = model or models.load()
    known = _without_crowds(record, hot)
    rivals = rank(known, candidates, prior_odds(people_in_store, referrals_in_store), model)
    answer = _answer(known, rivals, model)
    if identity_incomplete(record):
        alike = [rival.person for rival in rivals if rival.odds >= model.hold_at]
        return _decision("hold", [Rule.INCOMPLETE], rivals, alike, model, ask="date_of_birth")
    if answer.answer == "different" and any(KINDS[kind_of(key)].doubt for key in hot):
        return _decision("hold", [Rule.HOT_KEY], rivals, answer.people, model)
    return answer


def reached(record: Record, candidates: Iterable[Candidate], model: Model | None = None) -> list[str]:
    """Whoever has a telephone, an e-mail address or a number of the record's, unless a rule says that they are two people.

    Whatever the odds: asked where taking one human for two is the worse mistake, and a person decides.
    """
    mine = {*record.phones, *record.emails, *record.identifiers}
    at = [
        one
        for one in candidates
        if not mine.isdisjoint((*one.record.phones, *one.record.emails, *one.record.identifiers))
    ]
    return [rival.person for rival in standing(rank(record, at, 0.0, model or models.load()))]


def contradictions(records: Sequence[Record], model: Model | None = None) -> frozenset[Rule]:
    """What speaks against these records being one human: asked of the whole group before A = B and B = C make one person."""
    model = model or models.load()
    found: set[Rule] = set()
    for index, one in enumerate(records):
        for other in records[index + 1 :]:
            found |= _lasting(standing_rules(compare(one, other, model)))
    return frozenset(found)


def _without_crowds(record: Record, hot: Collection[str]) -> Record:
    """A telephone or postcode that a crowd shares (a hostel, a refuge's office) says nothing about who is meant."""
    crowded = {key.partition(":")[2] for key in hot if kind_of(key) in {"home", "phone", "email"}}
    if not crowded:
        return record
    return replace(
        record,
        postcodes=tuple(value for value in record.postcodes if value not in crowded),
        phones=tuple(value for value in record.phones if value not in crowded),
        emails=tuple(value for value in record.emails if value not in crowded),
    )


def prior_odds(people_in_store: int, referrals_in_store: int | None = None) -> float:
    """Bits, before any evidence: that it is this one of the store's people rather than nobody known.

    Until enough has been seen (or when nothing is said of it) every other referral is taken to be about somebody known.
    """
    people, seen = max(people_in_store, 1), max(referrals_in_store or 0, 0)
    recognised = max(seen - people_in_store, 0) if referrals_in_store is not None else 0
    share = (recognised + _SUPPOSED) / (seen + 2 * _SUPPOSED)
    share = min(max(share, _LEAST_KNOWN), _MOST_KNOWN)
    return log2(share / (1.0 - share)) - log2(people + 1)


def rank(record: Record, candidates: Iterable[Candidate], prior: float, model: Model) -> list[Rival]:
    """One rival for each person, by its best record, best first; a contradiction with any of its records counts."""
    tables: dict[str, list[tuple[Evidence, bool]]] = {}
    for person, other, told_apart in candidates:
        evidence = compare(record, other, model)
        if told_apart is not None and evidence.bits <= told_apart + _NEW_EVIDENCE:
            continue  # a human decided this; the same evidence is not asked about twice
        tables.setdefault(person, []).append((evidence, told_apart is not None))
    rivals = [_rival(person, of, prior, model) for person, of in tables.items()]
    rivals.sort(key=lambda rival: (-rival.odds, rival.person))
    return rivals


def _rival(person: str, tables: Sequence[tuple[Evidence, bool]], prior: float, model: Model) -> Rival:
    best = tables[0] if len(tables) == 1 else max(tables, key=lambda table: table[0].bits)
    odds = best[0].bits + prior
    if odds < model.hold_at - _OUT_OF_REACH:
        return Rival(person, odds, best[0], frozenset())  # no rule can make anything of them
    rules: frozenset[Rule] = frozenset()
    for table in tables:
        found = standing_rules(table[0]) | ({Rule.TOLD_APART} if table[1] else frozenset())
        rules |= found if table is best else _lasting(found)
    return Rival(person, odds, best[0], rules)


def _lasting(found: Iterable[Rule]) -> frozenset[Rule]:
    """What any one record of a group says against all of it."""
    return frozenset(rule for rule in found if rule in _LASTING)


def standing(rivals: Iterable[Rival]) -> list[Rival]:
    """Without those whom a rule makes two people (twins): nobody is in doubt because he has a brother."""
    return [rival for rival in rivals if not rival.rules or not any(rule.parts for rule in rival.rules)]


def _answer(record: Record, rivals: list[Rival], model: Model) -> Decision:
    open_rivals = standing(rivals)
    if not open_rivals:
        return _decision(
            "different", sorted({rule for rival in rivals for rule in rival.rules}), rivals, (), model
        )
    first = open_rivals[0]
    score = normalised(open_rivals)
    doubtful = [rival.person for rival in open_rivals if rival.odds >= model.hold_at]
    if first.odds < model.hold_at:
        return _decision("different", [Rule.TOO_LITTLE], open_rivals, (), model, score)
    stops = sorted(rule for rule in first.rules if rule.stops)
    if stops:
        return _decision("hold", stops, open_rivals, doubtful, model, score)
    if score >= model.join_at:
        return _decision("join", [Rule.ENOUGH], open_rivals, [first.person], model, score)
    if first.odds >= model.join_at:
        return _decision("hold", [Rule.SEVERAL], open_rivals, doubtful, model, score)
    ask = settling(record, first.odds, model)
    reasons = [Rule.ONE_FIELD] if ask else [Rule.DOUBTFUL]
    return _decision("hold", reasons, open_rivals, doubtful, model, score, ask)


def normalised(rivals: Sequence[Rival]) -> float:
    """Bits of odds that it is the first of them, against "one of the others, or nobody known"."""
    return rivals[0].odds - log2(1.0 + sum(2.0 ** min(rival.odds, 500.0) for rival in rivals[1:]))


def settling(record: Record, odds: float, model: Model) -> str:
    """The field that the record lacks and that would decide either way; "" if none would."""
    for field, attribute in _SETTLING:
        levels = model.lines[field]
        apart = min(levels["elsewhere" if field == "postcode" else "different"].bits, 0.0)
        same = levels["same"].bits + (model.births.usual if field == "date_of_birth" else 0.0)
        joins = odds + same >= model.join_at
        if not getattr(record, attribute) and joins and odds + apart < model.hold_at:
            return field
    return ""


def _decision(
    answer: Answer,
    reasons: Sequence[Rule],
    rivals: Sequence[Rival],
    people: Sequence[str],
    model: Model,
    score: float = -99.0,
    ask: str = "",
) -> Decision:
    evidence = rivals[0].evidence if rivals else None
    tables = {rival.person: rival.evidence for rival in rivals} if people[1:] else {}
    reasons = reasons or [Rule.NOBODY]
    return Decision(
        answer=answer,
        reasons=tuple(rule.code for rule in reasons),
        people=tuple(people),
        score=score,
        evidence=evidence,
        ask=ask,
        sentence=sentence(answer, reasons, evidence, ask),
        model=model.version,
        others=tuple(tables[person] for person in people[1:]),
    )
