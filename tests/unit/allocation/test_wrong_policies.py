"""A policy that is wrong in every way one can be: each mistake is told with its file, its line and its remedy."""

# ruff: noqa: E501  # a mistake, its message and its remedy are read as one row of a table

from __future__ import annotations

from dataclasses import dataclass

import pytest

from services.allocation import policy
from services.allocation.policy.loader import AREAS, NATIONAL, VOCABULARY
from tests.unit.allocation.scenario import POLICIES

SHIPPED = {name: (POLICIES / name).read_text(encoding="utf-8") for name in (VOCABULARY, AREAS, NATIONAL)}
SOUND = """\
policy: shire
name: Shire partnership
version: "1"
source: a document
areas: [kent]
agencies:
  care: {kind: victim_care, name: Care}
  mediation: {kind: provider, name: Mediation}
  choosy: {kind: crc, name: Choosy CRC, excludes: [{sensitive: [sexual]}]}
funds:
  grant: A grant
programmes:
  special: A scheme
coordinator:
  - {rule: always, agency: care, because: one referral point}
deliver:
  - {rule: scheme, when: {programme: [special]}, agency: [choosy, mediation], because: the scheme}
  - {rule: always, agency: mediation, because: they deliver}
lead_harmed:
  - {rule: always, agency: care, because: first contact}
lead_responsible:
  - {rule: always, agency: mediation, because: who delivers}
team:
  - {rule: pairs, facilitators: 2, because: pairs}
fund:
  - {rule: granted, payer: grant, because: a grant}
checks:
  - {rule: ask, check: research, about: case, gates: [harmed], asks: [care], due: 5 working days, question: "Well?", because: they know}
limits:
  - {rule: fewer, attempts: 2, because: less is kinder}
clocks:
  - {rule: quick, clock: information, due: 3 working days, duty: inform, because: sooner is better}
told:
  - {rule: say, to: [harmed], say: You choose., because: choice}
"""


@dataclass(frozen=True)
class Mistake:
    """In `file`, `old` becomes `new`; the problem must stand in the first line with `at` and say `what` and `remedy`."""

    old: str
    new: str
    what: str
    remedy: str
    at: str = ""
    file: str = "shire.yaml"


def m(old: str, new: str, what: str, remedy: str, at: str = "", file: str = "shire.yaml") -> Mistake:
    return Mistake(old, new, what, remedy, at or new.strip().split("\n")[-1], file)


TEAM = "  - {rule: pairs, facilitators: 2, because: pairs}"
ALWAYS = "  - {rule: always, agency: care, because: one referral point}"
LIMITS = "  - {rule: fewer, attempts: 2, because: less is kinder}"
CHECK = "asks: [care], due: 5 working days"
COMPLEX = "when: {sensitive: [sexual]}, "

SHAPE = [
    m("policy: shire\n", "policy: [shire\n", "this is no YAML", "check the indentation", at="name:"),
    m("name: Shire partnership", "name: !!python/object:os.system x", "the tag", "a policy is words"),
    m("name: Shire partnership\n", "name: Shire\nname: Other\n", "'name' is given twice", "keep one"),
    m("funds:\n  grant: A grant", "funds: &f\n  grant: A grant\n  again: *f", "an alias contains itself", "write the value out", at="funds: &f"),
    m("funds:\n", "funds:\n  [a, b]: c\n", "a field's name must be a word", "write `name: value`"),
    m('version: "1"\n', "", "'version' is missing", "write `version: …`", at="policy: shire"),
    m("policy: shire", "policy: other", "the policy 'other' stands in shire.yaml", "name the file other.yaml"),
    m("areas: [kent]", "areas: []", "the partnership covers no area", "list its police areas"),
    m("areas: [kent]", "areas: [kemt]", "unknown area 'kemt'", "did you mean 'kent'?"),
    m("told:\n", "tolled:\n", "there is no section 'tolled'", "did you mean 'told'?"),
    m("told:\n", "sensitive:\n", "'sensitive' is decided by the national policy alone", "drop the section", at="sensitive:\n  - "),
    m("funds:\n  grant: A grant", "funds: [grant]", "'funds' is a map of names", "write `name: what it is`"),
    m("told:\n  - {rule: say, to: [harmed], say: You choose., because: choice}", "told: nothing", "'told' is a list of rules", "begin each with `- rule:"),
]  # fmt: skip
AGENCIES = [
    m("  care: {kind: victim_care, name: Care}", "  Care_1: {kind: victim_care, name: Care}", "'Care_1' is no agency id", "use lower-case letters"),
    m("  care: {kind: victim_care, name: Care}", "  care: Care", "nothing is said of 'care'", "write `{kind: police"),
    m("kind: provider, name: Mediation", "kind: provider, title: Mediation", "an agency has no 'title'", "write one of"),
    m("kind: provider", "kind: providor", "'providor' is no kind of agency", "did you mean 'provider'?"),
    m("name: Care}", "name: Care, areas: [kemt]}", "unknown area 'kemt'", "did you mean 'kent'?"),
    m("name: Care}", "name: Care, facilitators: many}", "'many' is no number of facilitators", "write 0 or more"),
    m("excludes: [{sensitive: [sexual]}]", "excludes: sexual", "'excludes' is a list", "write `excludes: [{"),
    m("excludes: [{sensitive: [sexual]}]", "excludes: [{party: [harmed]}]", "'party' is not known here yet", "use it in a later section"),
]  # fmt: skip
RULES = [
    m(ALWAYS, "  - always", "a rule is a map", "begin it with `- rule:"),
    m("{rule: always, agency: care, because: one", "{agency: care, because: one", "the rule has no name", "write `rule: its-name`"),
    m("{rule: always, agency: care, because: one", "{rule: Always!, agency: care, because: one", "the rule has no name", "in lower case"),
    m(", because: first contact", "", "'always' gives no reason", "write `because:`", at="lead_harmed:\n"),
    m("because: first contact", "becuase: first contact, because: x", "a rule of lead_harmed has no 'becuase'", "did you mean 'because'?"),
    m("because: first contact", "because: first, and always", "a rule of lead_harmed has no 'and always'", "put quotes around the text"),
    m(ALWAYS, f"{ALWAYS[:-1]}}}\n  - {{rule: always, agency: mediation, because: again}}", "there are two rules 'always'", "rename one"),
    m("when: {programme: [special]}", "when: special", "the conditions are no map", "write `{stage: [custody]}`"),
    m("when: {programme: [special]}", "when: {program: [special]}", "there is no condition 'program'", "did you mean 'programme'?"),
    m("when: {programme: [special]}", "when: {delivered_by: [mediation]}", "'delivered_by' is not known here yet", "use it in a later section"),
    m("when: {programme: [special]}", "when: {stage: [prison]}", "'prison' is no value of 'stage'", "write one of"),
    m("when: {programme: [special]}", "when: {stage: []}", "'stage' lists nothing", "list the values"),
    m("when: {programme: [special]}", "when: {harmed_vulnerable: [yes, no]}", "'harmed_vulnerable' lists every value there is", "drop the condition"),
    m("when: {programme: [special]}", "when: {stage: {but: [custody]}}", "'stage' is not given by a list of words", "write a value, `[one, other]`"),
    m("when: {programme: [special]}", "when: {stage: {except: [prison]}}", "'prison' is no value of 'stage'", "write one of"),
    m("{rule: granted, payer: grant,", "{rule: granted,", "'granted' gives no 'payer'", "add `payer:`"),
    m(CHECK, "due: 5 working days", "'ask' must say who is asked", "give either `asks`"),
    m(CHECK, "asks: [care], asks_each: [care], due: 1 day", "'ask' must say who is asked", "or `asks_each`"),
]  # fmt: skip
VALUES = [
    m(CHECK, "asks: [], due: 5 working days", "'agency' lists nothing", "list at least one"),
    m('question: "Well?"', "question: []", "'question' is no text", "write a sentence of at most"),
    m('question: "Well?"', f"question: {'x' * 401}", "'question' is no text", "at most 400 characters"),
    m("clock: information", "clock: In Formation", "'In Formation' is no code", "use lower-case letters"),
    m("check: research", "check: reserch", "'reserch' cannot stand here", "did you mean 'research'?"),
    m("check: research", "check: [research]", "a list or map cannot stand here", "write one of"),
    m("facilitators: 2", "facilitators: two", "'facilitators' is 'two'", "write a whole number from 1 to 6"),
    m("facilitators: 2", "facilitators: 60", "'facilitators' is '60'", "write a whole number from 1 to 6"),
    m("due: 5 working days", "due: soon", "'soon' is no time to be due", "write for example '5 working days'"),
    m("due: 5 working days", "due: by easter", "there is no date 'easter'", "write one of"),
    m("attempts: 2", 'hours: "20:00-09:00"', "'20:00-09:00' is no span of hours", "write for example"),
    m("attempts: 2", "days: fri-mon", "'fri-mon' is no span of days", "write for example 'mon-fri'"),
    m("agency: [choosy, mediation]", "agency: [mediation, choosy]", "'choosy' may be nobody, or may exclude the case", "add after it an agency"),
    m("agency: [choosy, mediation]", "agency: [supervising-agency]", "'supervising-agency' may be nobody", "or `coordinator`"),
    m("asks: [care]", "asks: [caer]", "unknown agency 'caer'", "did you mean 'care'?"),
    m("payer: grant", "payer: grand", "unknown agency 'grand'", "did you mean 'grant'?"),
]  # fmt: skip
TOGETHER = [
    m(ALWAYS, "  - {rule: some, when: {stage: [custody]}, agency: care, because: x}", "coordinator has no rule for a case with stage", "end with one without `when`", at="  - {rule: some"),
    m(ALWAYS, f"{ALWAYS}\n  - {{rule: never, when: {{stage: [custody]}}, agency: care, because: x}}", "'never' can never be used: 'always' (line 15)", "move it up, or narrow"),
    m("when: {programme: [special]}", "when: {programme: [special], stage: [custody], stage: [licence]}", "'stage' is given twice", "keep one"),
    m("programme: [special]", "stage: [custody]", "no rule uses 'special' of programmes", "drop it, or write the rule", at="  special:"),
    m("payer: grant", "payer: care", "no rule uses 'grant' of funds", "drop it, or write the rule", at="  grant:"),
    m("rule: fewer", "rule: child", "'child' is a national rule", "give your rule a name of its own"),
    m("due: 3 working days", "due: 2 weeks", "'quick' makes the national clock 'information' later", "ask for that or less"),
]  # fmt: skip
LOOSER = [
    (TEAM, "facilitators: 1, " + COMPLEX, "1 facilitator where the nation asks for 2"),
    (TEAM, "training: core, " + COMPLEX, "training 'core' where the nation asks for 'complex'"),
    (TEAM, "experience: one_experienced, " + COMPLEX, "experience 'one_experienced' where the nation asks for 'all_experienced'"),
    (TEAM, "supervision: line, " + COMPLEX, "supervision 'line' where the nation asks for 'specialist'"),
    (TEAM, "training: none, ", "training 'none' where the nation asks for"),
    (LIMITS, "attempts: 4, ", "attempts 4, and the nation allows at most 3"),
    (LIMITS, "outcome_due_hours: 72, ", "outcome_due_hours 72, and the nation allows at most"),
    (LIMITS, "gap_days: 1, ", "gap_days 1, and the nation asks for at least 2"),
    (LIMITS, "approach_gap_days: 30, ", "approach_gap_days 30, and the nation asks for at least 90"),
    (LIMITS, "channels: [phone, text], when: {party_age: [under_18]}, ", "channels text, which the nation does not allow"),
    (LIMITS, 'hours: "08:00-20:00", ', "hours or days that the nation does not allow"),
    (LIMITS, "days: mon-sun, ", "hours or days that the nation does not allow"),
]  # fmt: skip
NATION = [
    m("  arbiter: commissioners-duty-arbiter", "  arbiter: somebody", "the arbiter 'somebody' is not one of the agencies", "write one of commissioners", file=NATIONAL),
    m("  order: [offence, harmed_home, responsible_home]", "  order: [weather]", "the order in which areas claim a case is not clear", "list offence", file=NATIONAL),
    m("forms:\n", "coordinator:\n", "'coordinator' is each partnership's own to decide", "put it into the partnerships' files", file=NATIONAL),
    m("  - {rule: every-form, forms", "  - {rule: some-forms, when: {stage: [custody]}, forms", "forms has no rule for every other case", "end it with a rule without `when`", file=NATIONAL, at="  - {rule: some-forms"),
    m("kinds: [police,", "kinds: police\nrest: [", "a list of words is expected", "write `[one, other]`", file=VOCABULARY, at="kinds: police"),
    m("conditions:\n", "terms:\n", "there are no conditions", "list them under `conditions:`", file=VOCABULARY, at="terms"),
    m("plea:               {about: case", "plea:               {about: weather", "'plea' is about nobody", "give `about`", file=VOCABULARY),
    m("says: the plea is, values: [guilty, not_guilty, unknown]", "says: the plea is", "'plea' has no values", "give `values: [...]`", file=VOCABULARY),
    m("within: sussex}", "within: sussecks}", "'west-sussex' lies within 'sussecks', which is no police area", "did you mean 'sussex'?", file=AREAS),
]  # fmt: skip


def problems(files: dict[str, str]) -> tuple[policy.Problem, ...]:
    with pytest.raises(policy.PolicyErrors) as raised:
        policy.parse(files)
    return raised.value.problems


def files_with(mistake: Mistake) -> dict[str, str]:
    files = {**SHIPPED, "shire.yaml": SOUND}
    assert mistake.old in files[mistake.file], "the mistake changes nothing"
    files[mistake.file] = files[mistake.file].replace(mistake.old, mistake.new, 1)
    return files


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1 + needle.endswith(":\n")


def test_the_policy_that_the_mistakes_are_made_in_is_sound() -> None:
    found = policy.parse({**SHIPPED, "shire.yaml": SOUND})
    assert list(found.partnerships) == ["shire"]


@pytest.mark.parametrize(
    "mistake", [*SHAPE, *AGENCIES, *RULES, *VALUES, *TOGETHER, *NATION], ids=lambda mistake: mistake.what
)
def test_a_mistake_is_told_with_file_line_and_remedy(mistake: Mistake) -> None:
    files = files_with(mistake)
    found = [p for p in problems(files) if mistake.what in p.what]
    assert found, [str(p) for p in problems(files)]
    assert found[0].file == mistake.file
    assert found[0].line == line_of(files[mistake.file], mistake.at)
    assert mistake.remedy in found[0].remedy
    assert str(found[0]).startswith(f"{mistake.file}:{found[0].line}: ")


@pytest.mark.parametrize(("rule", "fields", "what"), LOOSER, ids=[what for _, _, what in LOOSER])
def test_a_national_rule_cannot_be_loosened(rule: str, fields: str, what: str) -> None:
    name = rule.split("rule: ")[1].split(",", maxsplit=1)[0]
    looser = f"  - {{rule: {name}, {fields}because: easier}}"
    found = problems({**SHIPPED, "shire.yaml": SOUND.replace(rule, looser)})
    assert any(what in p.what and "loosens the national rule" in p.what for p in found), [
        str(p) for p in found
    ]
    assert found[0].line == line_of(SOUND, rule)
    assert "the national rule holds anyway" in found[0].remedy


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("worker:\n  - {rule: w, roles: [liaison_officer], because: x}\n", "first contact by liaison_officer, which the nation does not allow"),
        ("worker:\n  - {rule: w, training: none, because: x}\n", "training 'none' where the nation asks for"),
        ("duty:\n  - {rule: d, is: inform, because: x}\n", "'inform' where the nation asks for 'offer'"),
        ("team:\n  - {rule: t, different_agencies: no, because: x}\n", "facilitators of one agency where the nation asks for different agencies"),
    ],
)  # fmt: skip
def test_other_sections_cannot_be_loosened_either(section: str, what: str) -> None:
    national = SHIPPED[NATIONAL].replace(
        "rule: neutral-facilitator,", "rule: neutral-facilitator, different_agencies: yes,"
    )
    text = SOUND.replace(f"team:\n{TEAM}\n", "") + section
    found = problems({**SHIPPED, NATIONAL: national, "shire.yaml": text})
    assert any(what in p.what for p in found), [str(p) for p in found]


@pytest.mark.parametrize(
    ("files", "what", "remedy"),
    [
        ({"shire.yaml": ""}, "the file is empty", "begin with `policy:`"),
        ({"shire.yaml": "- a\n"}, "a policy is a map of sections", "begin with `policy:`"),
        ({"shire.yaml": "x" * 200_001}, "the file is longer than 200000 characters", "split or shorten it"),
        (
            {"shire.yaml": "[" * 50_000 + "]" * 50_000},
            "the file is nested too deeply",
            "no more than six levels",
        ),
        ({"shire.yaml": "- " * 50_000 + "a"}, "the file is nested too deeply", "no more than six levels"),
        (
            {"shire.yaml": SOUND.split("agencies:", maxsplit=1)[0]},
            "the policy names no agency",
            "list them: `agencies:",
        ),
    ],
    ids=["empty", "a list", "too long", "too deep", "too deep in blocks", "no agencies"],
)
def test_a_file_that_is_no_policy_is_told_as_such(files: dict[str, str], what: str, remedy: str) -> None:
    found = [p for p in problems({**SHIPPED, **files}) if what in p.what]
    assert found
    assert remedy in found[0].remedy


@pytest.mark.parametrize("name", [VOCABULARY, AREAS, NATIONAL])
def test_a_file_that_is_missing_is_named(name: str) -> None:
    files = {other: text for other, text in SHIPPED.items() if other != name}
    assert (
        str(problems(files)[0]) == f"{name}:1: the file is missing: put it beside the partnerships' policies"
    )


def test_a_rule_that_others_leave_nothing_to_is_told_with_those_others() -> None:
    text = SOUND.replace(
        ALWAYS,
        "  - {rule: one, when: {harmed_vulnerable: [yes]}, agency: care, because: x}\n"
        "  - {rule: other, when: {harmed_vulnerable: [no]}, agency: care, because: x}\n"
        "  - {rule: third, agency: care, because: x}",
    )
    told = "'third' can never be used: 'one' (line 15), 'other' (line 16) takes every case that it is for"
    assert told in [p.what for p in problems({**SHIPPED, "shire.yaml": text})]


def test_all_problems_of_all_files_are_told_at_once() -> None:
    text = SOUND.replace("kind: provider", "kind: x").replace("due: 5 working days", "due: y")
    other = SOUND.replace("policy: shire", "policy: vale").replace("areas: [kent]", "areas: [z]")
    found = problems({**SHIPPED, "shire.yaml": text, "vale.yaml": other})
    assert {(p.file, p.what) for p in found} >= {
        ("shire.yaml", "'x' is no kind of agency"),
        ("shire.yaml", "'y' is no time to be due"),
        ("vale.yaml", "unknown area 'z'"),
    }


def test_a_policy_cannot_run_anything() -> None:
    text = SOUND.replace("name: Shire partnership", "name: !!python/object/apply:os.getcwd []")
    assert any("the tag" in p.what for p in problems({**SHIPPED, "shire.yaml": text}))


@pytest.mark.parametrize(
    ("written", "remedy"),
    [("\t- first", "spaces, never tabs"), ("# rung off \x07", "this line"), ("# cut off \x00", "this line")],
    ids=["a tab", "a control character", "a NUL"],
)
def test_a_character_that_nobody_sees_is_found_by_its_line(written: str, remedy: str) -> None:
    lines = SOUND.split("\n")
    lines.insert(5, written)
    found = problems({**SHIPPED, "shire.yaml": "\n".join(lines)})
    assert [(p.file, p.line) for p in found] == [("shire.yaml", 6)]
    assert remedy in found[0].remedy
