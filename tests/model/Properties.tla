----------------------------- MODULE Properties -----------------------------
(* N1 to N9, as properties.md names them.                                                         *)
EXTENDS Release

HandedNow(p) == world'.handed[p] > world.handed[p]
GrantedNow(p) == sender[p].st = "idle" /\ sender'[p].st = "held"
RedeemedNow(p) == consent.permit[p].st = "granted" /\ consent'.permit[p].st = "redeemed"
SentNow(p) == sender'[p].sends > sender[p].sends

\* q was handed out, and a contact was or can still be made under it.
Counts(q) == sender[q].sends > 0 \/ (sender[q].st \in {"got", "row"} /\ ~world.late[q])
SameHuman(p, q) == p # q /\ sender[q].rec \in Together(sender[p].rec)
Earlier(p) == {q \in Permits : SameHuman(p, q) /\ Counts(q)}

Passed(a, b) == a = b \/ <<a, b>> \in world.passed
                \/ \E m \in Agencies : <<a, m>> \in world.passed /\ <<m, b>> \in world.passed

N1_no_second_approach == [][\A p \in Permits : HandedNow(p) =>
  /\ \A q \in Earlier(p) : Passed(sender[q].ag, sender[p].ag) /\ sender[q].st \notin {"reached", "declined"}
  /\ Cardinality(Earlier(p)) < Limit]_seen

N2_nothing_after_withdrawal == [][\A p \in Permits :
  /\ SentNow(p) => \A r \in Records : sender[p].rec \in world.answer[r].bound => p \in world.answer[r].named
  /\ HandedNow(p) => \A s \in Together(sender[p].rec) : intake.wd[s].st = "none"]_seen

N3_once == \A p \in Permits : world.handed[p] <= 1
N3_redeemed_once == [][\A p \in Permits :
  consent.up /\ consent'.up /\ consent'.permit[p].st = "redeemed" => consent.permit[p].st \in {"granted", "redeemed"}]_seen

Recorded(p) == sender[p].st \in {"reached", "declined", "unreached"}
N4_nothing_lost == consent.up =>
  /\ \A r \in Records : \A s \in world.answer[r].bound : consent.no[s]
  /\ \A p \in Permits : Recorded(p) => consent.permit[p].st = sender[p].st
N4_stored_stays == [][\A r \in Records :
  intake.wd[r].st # "none" => intake'.wd[r].st \in {intake.wd[r].st, "answered"}]_seen

N5_unknown_is_never_retried == \A p \in Permits : sender[p].sends <= 1
\* (While consent is restored and not yet reconciled, what it recorded is in its topic.)
Recorder == IF consent.up THEN consent ELSE world.topic
N5_unknown_blocks == [][\A p \in Permits : HandedNow(p) =>
  \A q \in Earlier(p) : Recorder.permit[q].st \in Contacted]_seen

\* What has been delivered to consent about links, applied or waiting.
Max(m, n) == IF m > n THEN m ELSE n
Delivered == Max(Ordinal("r1", consent.got["r1"]), Ordinal("r2", consent.got["r2"]))
HeldByDelivery(r) == \E n \in 1..consent.got[r] : n > consent.applied[r] /\ intake.log[r][n] = "held"

N6_links_never_loosen == [][consent.gen # consent'.gen /\ consent.up /\ consent'.up =>
  /\ consent'.gen > consent.gen
  /\ \A r \in Records : consent.no[r] => consent'.no[r]
  /\ \A p \in Permits : consent.permit[p].st # "granted" => consent'.permit[p] = consent.permit[p]]_seen
N6_delivered_is_in_force == [][\A p \in Permits : GrantedNow(p) =>
  LET r == sender'[p].rec
      G == IF Odd(Delivered) THEN Records ELSE {r}
  IN /\ ~HeldByDelivery(r)
     /\ \A s \in G : ~consent.no[s]
     /\ ~AnyOf(consent, G, OpenStates \union {"reached", "declined"})]_seen
N6_granted_is_still_allowed == consent.up => \A p \in Permits : consent.permit[p].st = "granted" =>
  LET G == ConsentGroup(consent.permit[p].rec) IN
  /\ \A s \in G : ~consent.no[s] /\ ~consent.hold[s]
  /\ ~\E q \in PermitsOf(consent, G) : q # p /\ consent.permit[q].st \in OpenStates

N7_one_lead == consent.up =>
  /\ Odd(consent.gen) => Cardinality({consent.lead[r] : r \in Records} \ {None}) <= 1
  /\ \A p \in Permits : consent.permit[p].st = "granted" => consent.lead[consent.permit[p].rec] = consent.permit[p].by

\* Whoever has handed a lead over has nothing left in its hands.
N7_handed_over_at_rest == [][\A p \in Permits :
  consent.up /\ consent'.up /\ consent'.permit[p].by \notin {consent.permit[p].by, None, "S"} /\ consent.permit[p].by # None
    => ~(sender[p].st \in {"got", "row"} /\ ~world.late[p])]_seen

N8_no_answer_is_a_no == [][\A p \in Permits :
  /\ GrantedNow(p) => LET r == sender'[p].rec IN
       consent.up /\ consent.known[r]
       /\ \A s \in ConsentGroup(r) : ~consent.parked[s] /\ consent.got[s] = consent.applied[s]
  /\ HandedNow(p) => consent.permit[p].st \in Unresolved \/ ~consent.up]_seen

\* Liveness: once nothing new happens (and in a bounded history nothing new does, in the end) ...
N9_withdrawals_come_into_force == \A r \in Records : intake.wd[r].st = "stored" ~> intake.wd[r].st = "answered"
Agreed == /\ consent.up /\ consent.gen = intake.gen
          /\ \A r \in Records : consent.applied[r] = Len(intake.log[r]) /\ ~consent.parked[r]
                                /\ consent.hold[r] = intake.hold[r]
N9_all_agree == <>[]Agreed
N9_no_attempt_stays_open == \A p \in Permits : consent.permit[p].st \in Unresolved ~> consent.permit[p].st \notin Unresolved
=============================================================================
