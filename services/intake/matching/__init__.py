"""Who is who: pure functions from records to answers. Intake stores, encrypts, looks up and decides when to ask a person.

record = normalise(person)                   # what is comparable of one person in one referral
keys = blocking_keys(record)                 # plain text, `kind:values`: store and look up their HMACs, bounded by KINDS
decision = decide(record, candidates, people_in_store=n, hot=keys_whose_bound_was_hit)
relation = same_incident(incident, other)    # one case, or two of one person
"""

from services.intake.matching.blocking import EDITION, KINDS, Kind, blocking_keys, kind_of, worth_comparing
from services.intake.matching.evidence import Evidence, compare
from services.intake.matching.incident import Incident, Relation, same_incident
from services.intake.matching.levels import Line
from services.intake.matching.model import Model, build, load, packaged, use
from services.intake.matching.record import Address, Person, Record, normalise
from services.intake.matching.rules import Rule
from services.intake.matching.score import (
    Candidate,
    Decision,
    contradictions,
    decide,
    identity_incomplete,
    reached,
)

__all__ = [
    "EDITION",
    "KINDS",
    "Address",
    "Candidate",
    "Decision",
    "Evidence",
    "Incident",
    "Kind",
    "Line",
    "Model",
    "Person",
    "Record",
    "Relation",
    "Rule",
    "blocking_keys",
    "build",
    "compare",
    "contradictions",
    "decide",
    "identity_incomplete",
    "kind_of",
    "load",
    "normalise",
    "packaged",
    "reached",
    "same_incident",
    "use",
    "worth_comparing",
]
