from __future__ import annotations

from services.allocation import policy
from services.allocation.policy import tables
from tests.unit.allocation.scenario import POLICIES, facts_of, policies, scenarios

FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*.yaml"))}
CASES = [
    tables.PastCase(id=f"{s.partnership}: {s.name}", facts=facts_of(s.given, s.when)) for s in scenarios()
]


def changed(file: str, old: str, new: str) -> policy.Policies:
    assert old in FILES[file]
    return policy.parse({**FILES, file: FILES[file].replace(old, new, 1)})


def test_a_check_of_sound_policies_lists_the_partnerships() -> None:
    table = tables.check(FILES)
    assert len(table.rows) == 16
    assert "none loosens a national rule" in table.summary


def test_a_check_of_a_wrong_policy_lists_what_to_mend() -> None:
    table = tables.check({**FILES, "kent.yaml": FILES["kent.yaml"].replace("areas: [kent]", "areas: [cent]")})
    assert table.columns == ("file", "line", "what is wrong", "remedy")
    assert table.rows[0][:3] == ("kent.yaml", "6", "unknown area 'cent'")


def test_an_explanation_begins_with_the_jurisdiction_and_names_every_rule_before_the_one_that_decided() -> (
    None
):
    facts = facts_of(
        {"areas": ["hertfordshire"], "initiated_by": "harmed", "referred_by": "beacon", "stage": "licence"}
    )
    table = tables.explain(policies(), facts)
    assert table.rows[0] == (
        "Jurisdiction",
        "It happened in Hertfordshire, which Hertfordshire restorative justice partnership holds.",
    )
    delivery = [sentence for about, sentence in table.rows if about == "Delivery"]
    assert [sentence.split("'")[1] for sentence in delivery] == [
        "community-remedy",
        "offender-initiated",
        "c2-scheme",
        "victim-initiated",
    ]
    assert "Beacon" in table.summary


def test_a_case_without_a_partnership_is_explained_by_who_decides() -> None:
    table = tables.explain(policies(), facts_of({"areas": ["dorset"]}))
    assert table.summary == "commissioners-duty-arbiter decides"


def test_a_dry_run_of_the_same_policies_differs_in_nothing() -> None:
    assert tables.dry_run(policies(), policies(), CASES).rows == ()


def test_a_dry_run_shows_whose_lead_and_funder_would_differ_and_only_theirs() -> None:
    after = changed(
        "hertfordshire.yaml",
        "    when: {initiated_by: [responsible]}\n    agency: bench-crc",
        "    when: {initiated_by: [responsible]}\n    agency: mediation-hertfordshire",
    )
    table = tables.dry_run(policies(), after, CASES)
    assert {row[0] for row in table.rows} == {"hertfordshire: the offender begins"}
    assert {row[1] for row in table.rows} == {"lead", "delivery", "funder"}
    assert ("hertfordshire: the offender begins", "funder", "bench-crc", "hertfordshire-opcc") in table.rows
    assert table.summary == f"1 of {len(CASES)} cases would be decided differently"


def test_a_dry_run_shows_a_check_that_would_be_gone() -> None:
    after = changed(
        "durham.yaml", "asks_each: [durham-constabulary, nps-durham,", "asks_each: [durham-constabulary,"
    )
    rows = tables.dry_run(policies(), after, CASES).rows
    assert {row[1] for row in rows} == {"checks"}
    assert all("partner_consent of nps-durham" not in row[3] for row in rows)


def test_a_difference_names_the_rules_that_changed_and_a_version_that_was_not_raised() -> None:
    after = changed("london.yaml", "sessions: 12", "sessions: 10")
    table = tables.diff(policies(), after)
    assert [row[:4] for row in table.rows] == [
        ("london", "limits", "twelve-sessions", "changed"),
        ("london", "version", "version", "not raised"),
    ]


def test_a_difference_shows_a_new_order_since_the_first_match_wins() -> None:
    text = FILES["thames-valley.yaml"].replace('version: "1"', 'version: "2"')
    before, prison, after = text.partition(
        text[text.index("  - {rule: prison,") : text.index("  - {rule: probation,")]
    )
    probation = after[: after.index("  - {rule: otherwise,")]
    swapped = before + probation + prison + after.removeprefix(probation)
    table = tables.diff(policies(), policy.parse({**FILES, "thames-valley.yaml": swapped}))
    assert [(row[1], row[3]) for row in table.rows] == [("deliver", "reordered")]


def test_a_decided_case_keeps_the_name_of_its_policy_and_its_digest() -> None:
    facts = facts_of({"areas": ["london"], "initiated_by": "harmed"})
    before = policy.decide(policies().partnership("london"), facts)
    after = policy.decide(changed("london.yaml", "sessions: 12", "sessions: 10").partnership("london"), facts)
    assert before.policy_digest != after.policy_digest
    national = changed("national.yaml", "attempts: 3, gap_days: 2", "attempts: 3, gap_days: 4")
    assert policy.decide(national.partnership("london"), facts).policy_digest != before.policy_digest
