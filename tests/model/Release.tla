------------------------------ MODULE Release ------------------------------
(* The release in its three steps, the sender, and the outcome.                                   *)
EXTENDS Consent

\* "Another person's live approach or no on the same phone needs a human": claimed with the release or the withdrawal,
\* in intake, so that it binds before anybody knows the two records for one human.
PointTaken(s) ==
  \/ intake.wd[s].st # "none"
  \/ \E p \in Permits : sender[p].rec = s /\ intake.row[p].st \in {"noted", "lost", "yes", "dead", "handed"}

\* "Intake checks its facts", those of everyone whom it knows to be this human.
IntakeAgrees(r) ==
  /\ intake.known[r] /\ ~intake.gone[r]
  /\ \A s \in IntakeGroup(r) :
       /\ ~intake.hold[s]
       /\ intake.wd[s].st = "none" \/ Broken("recorded_withdrawal_does_not_bind")
  /\ OnePhone /\ intake.gen = 0 => ~PointTaken(Other(r)) \/ Broken("contact_point_unclaimed")

Sequences(r) == [s \in Records |-> IF s \in IntakeGroup(r) THEN Len(intake.log[s]) ELSE 0]
NoSequences == [s \in Records |-> 0]

\* (1) In a transaction: lock, check, claim the contact points, write the release row, note the latest sequence of
\* everyone whom consent will lock. One row per permit: a second request finds it and is refused.
Note(p) ==
  /\ sender[p].st = "held" /\ intake.row[p].st = "none" /\ IntakeAgrees(sender[p].rec)
  /\ intake' = [intake EXCEPT !.row[p] = [st |-> "noted", seen |->
                  IF Broken("no_causal_token") THEN NoSequences ELSE Sequences(sender[p].rec)]]
  /\ Say(<<"Agency", sender[p].ag, "presents permit", p, "to intake, which checks and", IF Broken("no_causal_token") THEN "notes no sequences" ELSE "notes its sequences">>)
  /\ UNCHANGED <<consent, sender, world>>

\* (2) With no transaction open: consent redeems, if it "has applied those sequences", once. The answer may be lost.
CaughtUp(p) == \A s \in Records : intake.row[p].seen[s] <= consent.applied[s]

Redeem(p, answer) ==
  /\ intake.row[p].st = "noted" /\ consent.up /\ CaughtUp(p) /\ consent.permit[p].st = "granted"
  /\ answer = "lost" => On("lost")
  /\ consent' = [consent EXCEPT !.permit[p].st = "redeemed"]
  /\ intake' = [intake EXCEPT !.row[p].st = answer]
  /\ Say(<<"Consent redeems permit", p, IF answer = "lost" THEN "but its answer to intake is lost" ELSE "and tells intake so">>)
  /\ UNCHANGED <<sender, world>>

\* The same call again, with the same sequences and the same command id, gets the first answer.
RedeemAgain(p) ==
  /\ intake.row[p].st = "lost" /\ consent.up /\ consent.permit[p].st = "redeemed"
  /\ intake' = [intake EXCEPT !.row[p].st = "yes"]
  /\ Say(<<"Intake repeats the call for permit", p, "and gets the first answer">>)
  /\ UNCHANGED <<consent, sender, world>>

\* (A wrong variant: a new request for the same permit notes newer sequences and takes the old answer with them.)
RedeemAnew(p) ==
  /\ Broken("retry_takes_newer_sequences") /\ intake.row[p].st \in {"lost", "dead"} /\ consent.permit[p].st = "redeemed"
  /\ IntakeAgrees(sender[p].rec)
  /\ intake' = [intake EXCEPT !.row[p] = [st |-> "yes", seen |-> Sequences(sender[p].rec)]]
  /\ Say(<<"Agency", sender[p].ag, "asks again for permit", p, "; intake notes newer sequences and is given the old answer">>)
  /\ UNCHANGED <<consent, sender, world>>

\* `behind`, or consent down, "leaves the permit granted"; any other refusal ends the release.
Refuse(p) ==
  /\ intake.row[p].st = "noted"
  /\ ~consent.up \/ ~CaughtUp(p) \/ consent.permit[p].st # "granted"
  /\ intake' = [intake EXCEPT !.row[p] =
       [st |-> IF consent.up /\ consent.permit[p].st # "granted" THEN "void" ELSE "none", seen |-> NoSequences]]
  /\ Say(<<"Consent refuses to redeem permit", p, IF ~consent.up THEN "(closed)" ELSE IF ~CaughtUp(p) THEN "(behind)" ELSE "(no longer granted)">>)
  /\ UNCHANGED <<consent, sender, world>>

\* (3) In a transaction: "locks again; if no sequence, hold or withdrawal has moved since (1), marks it handed out and
\* answers; else 409 changed". Nor after use_by: by then a person may have closed the attempt.
StillSo(p) == ~world.late[p] /\ IntakeAgrees(sender[p].rec) /\ (intake.row[p].seen = Sequences(sender[p].rec) \/ Broken("no_causal_token"))

HandOut(p) ==
  /\ intake.row[p].st = "yes"
  /\ IF StillSo(p) \/ Broken("no_third_step")
     THEN /\ intake' = [intake EXCEPT !.row[p] = [st |-> "handed", seen |-> NoSequences]]
          /\ sender' = [sender EXCEPT ![p].st = "got"]
          /\ world' = [world EXCEPT !.handed[p] = @ + 1]
          /\ Say(<<"Intake hands the contact details of", sender[p].rec, "to agency", sender[p].ag, "for permit", p>>)
     ELSE /\ intake' = [intake EXCEPT !.row[p] = [st |-> "void", seen |-> NoSequences]]
          /\ Say(<<"Intake sees that something has moved and hands nothing out for permit", p>>)
          /\ UNCHANGED <<sender, world>>
  /\ UNCHANGED consent

\* "And consent is told not_made": nobody had the details, and nobody will.
TellNotMade(p) ==
  /\ intake.row[p].st = "void" /\ consent.up /\ consent.permit[p].st = "redeemed"
  /\ consent' = [consent EXCEPT !.permit[p].st = "not_made"]
  /\ Say(<<"Intake tells consent that the attempt of permit", p, "was not made">>)
  /\ UNCHANGED <<intake, sender, world>>

\* "A crash after (2) hands nothing out later." The row stays and refuses every later request.
IntakeCrash(p) ==
  /\ On("crash") /\ intake.row[p].st \in {"noted", "lost", "yes"}
  /\ intake' = [intake EXCEPT !.row[p] = [st |-> "dead", seen |-> NoSequences]]
  /\ Say(<<"Intake is killed in the middle of the release of permit", p>>)
  /\ UNCHANGED <<consent, sender, world>>

\* A call that was under way when its caller died still arrives: redeemed, and nobody is told.
RedeemForTheDead(p) ==
  /\ intake.row[p].st = "dead" /\ consent.up /\ consent.permit[p].st = "granted"
  /\ consent' = [consent EXCEPT !.permit[p].st = "redeemed"]
  /\ Say(<<"The call of the killed intake arrives: consent redeems permit", p>>)
  /\ UNCHANGED <<intake, sender, world>>

\* (Wrong variants: the details are handed out a second time; the permit is redeemed without intake.)
Replay(p) ==
  /\ Broken("replayed_release") /\ intake.row[p].st = "handed" /\ world.handed[p] = 1
  /\ world' = [world EXCEPT !.handed[p] = 2]
  /\ Say(<<"A double-click: intake answers the release of permit", p, "once more, to the second worker">>)
  /\ UNCHANGED <<intake, consent, sender>>

RedeemPastIntake(p) ==
  /\ Broken("redeemed_past_intake") /\ sender[p].st = "held" /\ consent.up /\ consent.permit[p].st = "granted"
  /\ consent' = [consent EXCEPT !.permit[p].st = "redeemed"]
  /\ sender' = [sender EXCEPT ![p].st = "got"]
  /\ world' = [world EXCEPT !.handed[p] = @ + 1]
  /\ Say(<<"Agency", sender[p].ag, "redeems permit", p, "at consent, past intake, and uses details that it has">>)
  /\ UNCHANGED intake

---------------------------------------------------------------------------
\* "Senders insert a unique row per permit before sending ...
WriteRow(p) ==
  /\ On("crash") /\ sender[p].st = "got"
  /\ sender' = [sender EXCEPT ![p].st = "row"]
  /\ Say(<<"The sender writes its row for permit", p>>)
  /\ UNCHANGED <<intake, consent, world>>

\* ... and test `use_by` just before the socket write." This is the contact: the telephone rings.
\* (Where no sender is ever killed, the row and the sending are one step: nothing else sees what is between them.)
Send(p) ==
  /\ sender[p].st = (IF On("crash") THEN "row" ELSE "got") /\ (~world.late[p] \/ Broken("use_by_untested"))
  /\ sender' = [sender EXCEPT ![p].st = "sent", ![p].sends = @ + 1]
  /\ Say(<<"AGENCY", sender[p].ag, "CONTACTS THE PERSON OF", sender[p].rec, "under permit", p>>)
  /\ UNCHANGED <<intake, consent, world>>

TimePasses(p) ==
  /\ consent.permit[p].st \in Unresolved /\ ~world.late[p]
  /\ world' = [world EXCEPT !.late[p] = TRUE]
  /\ Say(<<"The use_by of permit", p, "passes">>)
  /\ UNCHANGED <<intake, consent, sender>>

\* What is said under one record while it is linked binds every ledger of the group, as a withdrawal does.
SaidNo(c, r) == [Revoke(c, GroupIn(c, r)) EXCEPT !.no = [s \in Records |-> @[s] \/ s \in GroupIn(c, r)]]

Outcome(p, o) ==
  /\ sender[p].st = "sent" /\ consent.up /\ consent.permit[p].st = "redeemed"
  /\ sender' = [sender EXCEPT ![p].st = o]
  /\ LET c == [consent EXCEPT !.permit[p].st = o] IN
     consent' = IF o = "declined" THEN SaidNo(c, sender[p].rec) ELSE c
  /\ Say(<<"The outcome of permit", p, "is recorded:", o>>)
  /\ UNCHANGED <<intake, world>>

\* A "no" is taken even after a person has reconciled the attempt: it ends what has been granted meanwhile.
LateNo(p) ==
  /\ sender[p].st = "sent" /\ consent.up /\ consent.permit[p].st = "contacted"
  /\ sender' = [sender EXCEPT ![p].st = "late"]
  /\ consent' = SaidNo(consent, sender[p].rec)
  /\ Say(<<"Long after, the holder of permit", p, "records that the person said no">>)
  /\ UNCHANGED <<intake, world>>

\* "not_made only by the holder, with the fence, before use_by": the holder takes its own row, so that no colleague sends.
NotMade(p) ==
  /\ sender[p].st = "got" /\ consent.up /\ ~world.late[p] /\ consent.permit[p].st = "redeemed"
  /\ sender' = [sender EXCEPT ![p].st = "gaveup"]
  /\ consent' = [consent EXCEPT !.permit[p].st = "not_made"]
  /\ Say(<<"The holder of permit", p, "says in time that it has made no attempt">>)
  /\ UNCHANGED <<intake, world>>

\* Killed before the row: the details are gone. After it: nobody can know whether the provider was reached.
SenderCrash(p) ==
  /\ On("crash") /\ sender[p].st \in {"got", "row", "sent"}
  /\ sender' = [sender EXCEPT ![p].st = IF @ = "got" THEN "gaveup" ELSE "unsure"]
  /\ Say(<<"The sender of permit", p, "is killed">>)
  /\ UNCHANGED <<intake, consent, world>>

\* "An unknown outcome counts as contacted, and goes to a person to reconcile, never to a retry."
ReportUnknown(p) ==
  /\ sender[p].st = "unsure" /\ consent.up /\ consent.permit[p].st = "redeemed"
  /\ sender' = [sender EXCEPT ![p].st = "reported"]
  /\ consent' = [consent EXCEPT !.permit[p].st = "unknown"]
  /\ Say(<<"The sender starts again, finds its row without a result, and reports permit", p, "as unknown">>)
  /\ UNCHANGED <<intake, world>>

\* (A wrong variant: it tries again.)
Retry(p) ==
  /\ Broken("unknown_is_retried") /\ sender[p].st = "unsure"
  /\ sender' = [sender EXCEPT ![p].st = "row"]
  /\ Say(<<"The sender starts again, finds its row without a result, and tries again">>)
  /\ UNCHANGED <<intake, consent, world>>

\* "Overdue outcomes go to the hub": a person decides, and what is not certain counts as a contact.
Resolve(p) ==
  /\ consent.up /\ world.late[p] /\ consent.permit[p].st \in Unresolved /\ ~Broken("overdue_is_nobodys")
  /\ consent' = [consent EXCEPT !.permit[p].st = "contacted"]
  /\ Say(<<"A person at the hub reconciles permit", p, "as a contact">>)
  /\ UNCHANGED <<intake, sender, world>>
=============================================================================
