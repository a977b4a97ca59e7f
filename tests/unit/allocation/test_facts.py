from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, get_args

import msgspec
import pytest

from services.allocation import policy
from services.allocation.store.policies import Policies
from services.intake.referral import Sensitive
from shared.contracts.referrals import Deadlines, Need, OffenceClass, PartyFact, ReferralFacts, Stage

FIRST = ReferralFacts(
    referral="r1",
    agency="northumbria-police",
    version=1,
    incident="i1",
    received_at=datetime(2026, 3, 2, 10, tzinfo=UTC),
    offence_class="assault",
    stage="caution",
    initiated_by="agency",
    area="newcastle",
    parties=(
        PartyFact(person="p1", role="harmed"),
        PartyFact(person="p2", role="responsible", risk="high", admitted=True),
    ),
)


def later(**changes: Any) -> ReferralFacts:
    given = {
        "referral": "r2",
        "agency": "victims-first-northumbria",
        "received_at": datetime(2026, 3, 9, 10, tzinfo=UTC),
    }
    return msgspec.structs.replace(FIRST, **{**given, **changes})


def test_the_stage_moves_on_and_the_clock_runs_from_the_first_referral_in_whatever_order_they_come() -> None:
    second = later(stage="licence")
    for order in ([FIRST, second], [second, FIRST]):
        facts = policy.combine(order)
        assert facts.stage == "licence"
        assert facts.received_at == FIRST.received_at
        assert facts.referred_by == "northumbria-police"


def test_a_person_s_own_wish_outweighs_an_agency_s() -> None:
    assert policy.combine([FIRST, later(initiated_by="harmed")]).initiated_by == "harmed"
    assert (
        policy.combine([later(initiated_by="harmed"), later(initiated_by="court")]).initiated_by == "harmed"
    )


def test_what_protects_is_never_lost_by_a_later_referral() -> None:
    careful = later(
        sensitive=("hate",),
        explicit_agreement=True,
        parties=(
            PartyFact(person="p1", role="harmed", prior_contact="no", vulnerable=True, enhanced_rights=True),
        ),
    )
    for order in ([FIRST, careful], [careful, FIRST]):
        facts = policy.combine(order)
        people = {party.id: party for party in facts.parties}
        assert facts.sensitive == ("hate",)
        assert (people["p1"].prior_contact, people["p1"].vulnerable, people["p1"].enhanced_rights) == (
            "no",
            True,
            True,
        )
        assert (people["p2"].risk, people["p2"].admitted) == ("high", True)


def test_a_yes_does_not_undo_a_no() -> None:
    no = later(parties=(PartyFact(person="p1", role="harmed", prior_contact="no"),))
    yes = later(referral="r3", parties=(PartyFact(person="p1", role="harmed", prior_contact="yes"),))
    assert policy.combine([no, yes]).parties[0].prior_contact == "no"


def test_a_person_who_is_harmed_in_one_referral_and_responsible_in_another_is_both() -> None:
    other = later(parties=(PartyFact(person="p1", role="responsible"),))
    assert policy.combine([FIRST, other]).parties[0].role == "both"


def test_contact_persons_are_no_parties() -> None:
    assert [
        party.id
        for party in policy.combine(
            [later(parties=(*FIRST.parties, PartyFact(person="p9", role="contact")))]
        ).parties
    ] == ["p1", "p2"]


def test_dates_are_gathered_and_a_plea_with_an_admission_is_a_guilty_plea() -> None:
    facts = policy.combine(
        [FIRST, later(deadlines=Deadlines(plea=date(2026, 3, 5), hearing=date(2026, 4, 1)))]
    )
    assert facts.deadlines == {"plea": date(2026, 3, 5), "hearing": date(2026, 4, 1)}
    assert facts.plea == "guilty"
    assert policy.combine([FIRST]).plea == "unknown"


def test_what_a_referral_says_beyond_the_offence_reaches_the_policies() -> None:
    parties = (
        PartyFact(person="p1", role="harmed", liaison_officer="officer-7"),
        PartyFact(
            person="p2",
            role="responsible",
            caseworker="manager-2",
            supervising_kind="nps",
            needs=("learning_disability",),
        ),
    )
    said = later(
        parties=parties,
        programme="c2",
        plea="not_guilty",
        domestic_burglary=True,
        sensitive=("children",),
        deadlines=Deadlines(plea=date(2026, 3, 5), turns_18=date(2026, 6, 1)),
    )
    facts = policy.combine(
        [said, later(referral="r3", offence_class="burglary", received_at=said.received_at)]
    )
    people = {party.id: party for party in facts.parties}
    assert (facts.offence, facts.programme, facts.plea) == ("domestic_burglary", "c2", "not_guilty")
    assert facts.sensitive == ("child",)
    assert facts.deadlines["turns_18"] == date(2026, 6, 1)
    assert people["p1"].liaison_officer == "officer-7"
    assert (people["p2"].caseworker, people["p2"].supervising_kind) == ("manager-2", "nps")
    assert people["p2"].needs == ("learning_disability",)


def test_every_sensitive_class_and_offence_of_a_referral_is_one_that_policies_know() -> None:
    words = Policies.of_process().current.vocabulary.attributes
    said = later(sensitive=get_args(Sensitive))
    assert set(policy.combine([said]).sensitive) <= words["sensitive"].values
    assert set(get_args(OffenceClass)) <= words["offence"].values
    assert set(get_args(Need)) <= words["responsible_needs"].values
    assert set(get_args(Stage)) <= words["stage"].values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"received_at": datetime(2026, 3, 2, 10)}, "received_at has no time zone"),  # noqa: DTZ001  the mistake
        ({"parties": ()}, "nobody was harmed"),
        (
            {
                "parties": (
                    policy.PartyFacts(id="a", role="harmed"),
                    policy.PartyFacts(id="a", role="responsible"),
                )
            },
            "has the role 'both'",
        ),
        ({"deadlines": {"easter": date(2026, 4, 5)}}, "easter unknown: use plea"),
    ],
)
def test_facts_that_no_policy_can_read_are_refused_with_the_remedy(
    changes: dict[str, Any], message: str
) -> None:
    sound = {"received_at": FIRST.received_at, "parties": (policy.PartyFacts(id="a", role="harmed"),)}
    with pytest.raises(policy.FactsError, match=message):
        policy.CaseFacts(**{**sound, **changes})


def test_no_referral_is_no_case() -> None:
    with pytest.raises(policy.FactsError, match="a case has at least one"):
        policy.combine([])


def test_succession_follows_to_the_last_successor_and_a_circle_is_an_error() -> None:
    agencies = policy.Agencies(
        [policy.Agency(id="a", kind="crc", successor="b"), policy.Agency(id="b", kind="crc", successor="c")]
    )
    assert agencies.current("a") == "c"
    circle = policy.Agencies(
        [policy.Agency(id="a", kind="crc", successor="b"), policy.Agency(id="b", kind="crc", successor="a")]
    )
    with pytest.raises(policy.FactsError, match="goes round in a circle"):
        circle.current("a")
