------------------------------- MODULE Intake -------------------------------
(* Intake: who is who, holds, withdrawals taken in, erasure.                                      *)
EXTENDS World

Tell(r, events) == [intake.log EXCEPT ![r] = @ \o events]
Room(r, n) == Len(intake.log[r]) + n <= MaxLog

\* "The matcher takes advisory locks on the record's blocking keys, then looks ... and writes in one transaction":
\* whoever comes second sees the first, and the link is written with it. "Any hit of a suppression holds a new referral."
\* (The record that comes first is called r1: nothing else distinguishes them. In some small bounds it stays alone.)
Refer(r) ==
  /\ ~intake.known[r] /\ (r = "r1" \/ (intake.known["r1"] /\ ~On("alone")))
  /\ \E sees \in IF Broken("no_blocking_lock") THEN BOOLEAN ELSE {TRUE} :
       LET s == Other(r)
           meets == sees /\ KeysMeet /\ intake.known[s] /\ ~intake.gone[s]
           hit == KeysMeet /\ intake.supp
           own == <<"referred">> \o (IF meets THEN <<"linked">> ELSE <<>>) \o (IF hit THEN <<"held">> ELSE <<>>)
       IN /\ intake' = [intake EXCEPT !.known[r] = TRUE, !.hold[r] = hit,
                          !.gen = IF meets THEN @ + 1 ELSE @,
                          !.log = [Tell(r, own) EXCEPT ![s] = IF meets THEN @ \o <<"linked">> ELSE @]]
          /\ Say(<<"A referral opens record", r, IF meets THEN ", which the matcher links to the other record in the same transaction"
                   ELSE IF hit THEN ", which meets a suppression and is held"
                   ELSE IF ~sees /\ KeysMeet /\ intake.known[s] THEN ", and the matcher, at work at the same time as for the other record, does not see that one"
                   ELSE ", which the matcher takes for somebody new">>)
  /\ UNCHANGED <<consent, sender, world>>

\* "Link is written on both keys in one transaction." Evidence comes late: a new address, a reviewer.
Link ==
  /\ On("link") /\ ~Odd(intake.gen) /\ intake.gen < MaxLinks
  /\ \A r \in Records : intake.known[r] /\ ~intake.gone[r] /\ Room(r, 1)
  /\ intake' = [intake EXCEPT !.gen = @ + 1, !.log = [r \in Records |-> Append(intake.log[r], "linked")]]
  /\ Say(<<"Intake finds that r1 and r2 are one human and links them">>)
  /\ UNCHANGED <<consent, sender, world>>

Unlink ==
  /\ On("unlink") /\ Odd(intake.gen) /\ intake.gen < MaxLinks
  /\ \A r \in Records : Room(r, 1)
  /\ intake' = [intake EXCEPT !.gen = @ + 1, !.log = [r \in Records |-> Append(intake.log[r], "unlinked")]]
  /\ Say(<<"A reviewer and a second person unlink r1 and r2">>)
  /\ UNCHANGED <<consent, sender, world>>

\* A doubt about identity, an unsafe number: "takes effect when it is committed".
Hold(r) ==
  /\ On("hold") /\ intake.known[r] /\ ~intake.gone[r] /\ ~intake.hold[r] /\ Room(r, 1)
  /\ intake' = [intake EXCEPT !.hold[r] = TRUE, !.log = Tell(r, <<"held">>)]
  /\ Say(<<"Intake puts", r, "on hold">>)
  /\ UNCHANGED <<consent, sender, world>>

Lift(r) ==
  /\ On("hold") /\ intake.hold[r] /\ ~intake.gone[r] /\ Room(r, 1)
  /\ intake' = [intake EXCEPT !.hold[r] = FALSE, !.log = Tell(r, <<"lifted">>)]
  /\ Say(<<"A person lifts the hold on", r>>)
  /\ UNCHANGED <<consent, sender, world>>

\* `person.changed`: nothing that matters here, except that its handler may fail.
Change(r) ==
  /\ On("park") /\ intake.known[r] /\ ~intake.gone[r] /\ Room(r, 1)
  /\ \A n \in 1..Len(intake.log[r]) : intake.log[r][n] # "changed"
  /\ intake' = [intake EXCEPT !.log = Tell(r, <<"changed">>)]
  /\ Say(<<"Intake publishes a change of", r>>)
  /\ UNCHANGED <<consent, sender, world>>

\* "Erasure destroys keys; a suppression survives." Always: a later withdrawal could no longer be turned into one.
Erase(r) ==
  /\ On("erase") /\ intake.known[r] /\ ~intake.gone[r] /\ Room(r, 1)
  /\ LET no == consent.no[r]
         kept == IF Broken("no_suppression") THEN FALSE
                 ELSE IF Broken("suppression_only_of_a_no") THEN no ELSE TRUE
     IN intake' = [intake EXCEPT !.gone[r] = TRUE, !.supp = @ \/ kept, !.log = Tell(r, <<"erased">>)]
  /\ Say(<<"Intake erases", r, "and destroys its key">>)
  /\ UNCHANGED <<consent, sender, world>>

---------------------------------------------------------------------------
\* A withdrawal is "stored by intake (recorded, not yet in force), every candidate's release is refused from that
\* moment". Intake notes with it everyone whom it knows to be this human at that moment.
StoreWithdrawal(r) ==
  /\ On("withdraw") /\ intake.known[r] /\ intake.wd[r].st = "none"
  /\ intake' = [intake EXCEPT !.wd[r] = [st |-> "stored", group |-> IntakeGroup(r)]]
  /\ Say(<<"The person of", r, IF intake.gone[r] THEN ", whose details have been erased," ELSE "", "withdraws; intake stores it and will call consent">>)
  /\ UNCHANGED <<consent, sender, world>>

\* "A timer repeats the call to consent, under the same command id, until it is answered." Consent always accepts it:
\* everyone named, and everyone linked to them here, is bound at commit, by their own ledgers (what is said while two
\* records are linked is said by whichever of them it was). The answer is clean only if nothing is in flight for any of them.
PutInForce(r) ==
  /\ intake.wd[r].st = "stored" /\ consent.up
  /\ LET named == IF Broken("withdrawal_without_group") THEN {r} ELSE intake.wd[r].group
         G == UNION {ConsentGroup(s) : s \in named}
         ledgers == IF Broken("no_on_one_ledger") THEN {r} ELSE G
         flight == {p \in PermitsOf(consent, G) : consent.permit[p].st = "redeemed"}
         clean == flight = {} \/ Broken("clean_while_in_flight")
     IN /\ consent' = [Revoke(consent, G) EXCEPT !.no = [s \in Records |-> consent.no[s] \/ s \in ledgers]]
        /\ world' = [world EXCEPT !.answer[r] = [kind |-> IF clean THEN "clean" ELSE "in_flight",
                       named |-> IF clean THEN {} ELSE flight, bound |-> intake.wd[r].group]]
        /\ intake' = [intake EXCEPT !.wd[r].st = "answered"]
        /\ Say(<<"Consent puts the withdrawal of", r, "in force and answers", IF clean THEN "clean" ELSE "in flight">>)
  /\ UNCHANGED sender

\* (A wrong variant: the call is tried once, and forgotten when consent is down.)
ForgetWithdrawal(r) ==
  /\ Broken("withdrawal_tried_once") /\ intake.wd[r].st = "stored" /\ ~consent.up
  /\ intake' = [intake EXCEPT !.wd[r].st = "forgotten"]
  /\ Say(<<"The call to consent fails, and nobody repeats it for", r>>)
  /\ UNCHANGED <<consent, sender, world>>
=============================================================================
