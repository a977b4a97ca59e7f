------------------------------ MODULE Consent ------------------------------
(* Consent: it consumes intake's events, decides claims, grants permits, hands leads over.        *)
EXTENDS Intake

\* "Two leads: reached beats in flight, then the earliest redemption, then the earliest claim." Where neither has been
\* approached either may win here: a superset of every tie rule.
Rank(c, r) ==
  LET mine == {p \in Permits : c.permit[p].rec = r}
      has(states) == \E p \in mine : c.permit[p].st \in states
  IN IF has({"reached", "declined"}) THEN 3 ELSE IF has(Unresolved) THEN 2 ELSE IF has(Contacted) THEN 1 ELSE 0
Winners(c) ==
  LET led == {r \in Records : c.lead[r] # None}
  IN IF led = {} THEN {"r1"} ELSE {r \in led : \A s \in led : Rank(c, r) >= Rank(c, s)}

\* "Consent applies whichever arrives first to both." A decision older than the one known changes nothing: the number,
\* not the order of arrival, says which is the later.
LinkTo(c, ord, winner) ==
  IF ord <= c.gen /\ ~(Broken("unlink_without_number") /\ ord # c.gen) THEN c
  ELSE LET d == IF Broken("link_without_revoking") THEN c ELSE Revoke(c, Records)
       IN IF Odd(ord)
          THEN [d EXCEPT !.gen = ord, !.lead = [r \in Records |-> c.lead[winner]]]
          ELSE [d EXCEPT !.gen = ord, !.lead = c.own,      \* "Unlink recomputes from each record's own ledger."
                         !.no = IF Broken("unlink_loosens") THEN [r \in Records |-> FALSE] ELSE @]

Effect(c, r, n, winner) ==
  LET e == intake.log[r][n]
      G == GroupIn(c, r)
  IN CASE e = "referred" -> [c EXCEPT !.known[r] = TRUE]
       [] e = "held"     -> [Revoke(c, G) EXCEPT !.hold[r] = TRUE]
       [] e = "lifted"   -> [c EXCEPT !.hold[r] = FALSE]
       [] e = "erased"   -> [Revoke(c, G) EXCEPT !.known[r] = FALSE]
       [] e = "changed"  -> c
       [] e \in LinkEvents -> LinkTo(c, Ordinal(r, n), winner)

\* The inbox: the next event of a key, in order, in the same transaction as its effects. Kafka may delay it for as long
\* as it likes; that it comes at all, once and in order is Delivery.tla's matter.
\* (In a wrong variant the broker's idea of the offset outlives a restore: what was read before it never comes again.)
StillToCome(r) == Broken("offsets_outlive_restore") /\ world.topic # <<>> => Len(intake.log[r]) > world.topic.applied[r]

Apply(r) ==
  /\ consent.up /\ ~consent.parked[r] /\ consent.applied[r] < Len(intake.log[r]) /\ StillToCome(r)
  /\ LET n == consent.applied[r] + 1 IN
     /\ \E w \in Winners(consent) :
          consent' = [Effect(consent, r, n, w) EXCEPT !.applied[r] = n, !.got[r] = IF @ < n THEN n ELSE @]
     /\ Say(<<"Consent applies event", n, "of", r, ":", intake.log[r][n]>>)
  /\ UNCHANGED <<intake, sender, world>>

\* "What cannot be handled after bounded retries is quarantined and its key parked; later events of the key wait."
\* (At its first delivery, so that a history has an end. A restrictive event that itself cannot be handled is not applied.)
Park(r) ==
  /\ On("park") /\ consent.up /\ ~consent.parked[r] /\ consent.got[r] = consent.applied[r] /\ consent.got[r] < Len(intake.log[r])
  /\ LET n == consent.applied[r] + 1 IN
     /\ intake.log[r][n] \notin Restrictive
     /\ consent' = [consent EXCEPT !.parked[r] = TRUE, !.got[r] = IF @ < n THEN n ELSE @]
     /\ Say(<<"Consent cannot handle event", n, "of", r, ":", intake.log[r][n], ", and parks the key">>)
  /\ UNCHANGED <<intake, sender, world>>

\* "Restrictive events are applied at once even when their key is parked, without advancing the inbox, and again in their turn."
ApplyPastParked(r) ==
  /\ consent.up /\ consent.parked[r] /\ consent.got[r] < Len(intake.log[r])
  /\ LET n == consent.got[r] + 1
         now == intake.log[r][n] \in Restrictive /\ ~Broken("parked_restriction_waits")
     IN /\ \E w \in Winners(consent) :
             consent' = [(IF now THEN Effect(consent, r, n, w) ELSE consent) EXCEPT !.got[r] = n]
        /\ Say(<<"Event", n, "of the parked key", r, ":", intake.log[r][n], ", arrives and", IF now THEN "is applied at once" ELSE "waits">>)
  /\ UNCHANGED <<intake, sender, world>>

Redrive(r) ==
  /\ consent.up /\ consent.parked[r]
  /\ consent' = [consent EXCEPT !.parked[r] = FALSE]
  /\ Say(<<"An operator repairs and redrives the key", r>>)
  /\ UNCHANGED <<intake, sender, world>>

---------------------------------------------------------------------------
Now(a) == IF consent.succ /\ a = "A" THEN "S" ELSE a      \* a claim for an agency is a claim for its successor

\* "The first accepted claim wins; a party led elsewhere keeps its lead." "A person of whom consent has not yet heard can be led."
\* (The agency that claims first is called A, except where A is the one to be succeeded or gives cases back.)
Claim(a, r) ==
  /\ a = "A" \/ On("succeed") \/ On("endlead") \/ \E s \in Records : consent.own[s] # None
  /\ consent.up /\ intake.known[r] /\ ~intake.gone[r] /\ a # "S" /\ consent.own[r] = None
  /\ LET G == ConsentGroup(r) IN
     /\ consent.lead[r] \in {None, Now(a)} \/ (Broken("two_tenures") /\ Odd(consent.gen))
     /\ consent' = [consent EXCEPT !.own[r] = Now(a),
                      !.lead = [s \in Records |-> IF s \in (IF Broken("two_tenures") THEN {r} ELSE G) THEN Now(a) ELSE @[s]]]
  /\ Say(<<"Allocation claims", r, "for agency", a, "and consent accepts">>)
  /\ UNCHANGED <<intake, sender, world>>

\* "Grant only if ...": the whole decision, on what consent knows, under the locks of the group.
May(a, r) ==
  LET G == ConsentGroup(r) IN
  /\ consent.up                                                   \* a service that is not reconciled grants nothing
  /\ consent.known[r] \/ Broken("unknown_is_granted")
  /\ consent.lead[r] = a
  /\ \A s \in G : ~consent.no[s] /\ ~consent.hold[s]              \* the strictest of all linked records
  /\ \A s \in G : (~consent.parked[s] /\ consent.got[s] = consent.applied[s]) \/ Broken("parked_is_granted")
  /\ ~AnyOf(consent, G, OpenStates)                               \* no permit live or unresolved
  /\ ~AnyOf(consent, G, {"reached", "declined"})                  \* the approach has had its answer
  /\ \A p \in PermitsOf(consent, G) : consent.permit[p].st \in Contacted =>
        consent.permit[p].by = a \/ Broken("lead_end_forgets_approach")
  /\ Attempts(consent, G) < Limit

Grant(a, r) ==
  /\ May(a, r)
  /\ \E p \in Permits :
       /\ sender[p].st = "idle" /\ \A q \in 1..(p - 1) : sender[q].st # "idle"
       /\ consent' = [consent EXCEPT !.permit[p] = [st |-> "granted", rec |-> r, by |-> a]]
       /\ sender' = [sender EXCEPT ![p] = [st |-> "held", rec |-> r, ag |-> a, sends |-> 0]]
       /\ Say(<<"Consent grants permit", p, "for", r, "to agency", a>>)
  /\ UNCHANGED <<intake, world>>

Expire(p) ==
  /\ consent.up /\ consent.permit[p].st = "granted"
  /\ consent' = [consent EXCEPT !.permit[p].st = "ended"]
  /\ Say(<<"Permit", p, "expires unredeemed">>)
  /\ UNCHANGED <<intake, sender, world>>

\* "After redemption neither expiry nor a restart frees the permit." (A wrong variant, which does.)
ExpireRedeemed(p) ==
  /\ Broken("expiry_frees_redeemed") /\ consent.up /\ consent.permit[p].st = "redeemed" /\ world.late[p]
  /\ consent' = [consent EXCEPT !.permit[p].st = "ended"]
  /\ Say(<<"Permit", p, "was redeemed, and expires all the same">>)
  /\ UNCHANGED <<intake, sender, world>>

---------------------------------------------------------------------------
\* The person with all open cases goes from agency a to b: effective lead, own ledgers, ownership of the approach.
Move(c, G, a, b) ==
  LET d == Revoke(c, G) IN
  [d EXCEPT !.lead = [s \in Records |-> IF s \in G /\ @[s] = a THEN b ELSE @[s]],
            !.own = [s \in Records |-> IF s \in G /\ @[s] = a THEN b ELSE @[s]],
            !.permit = [p \in Permits |-> IF @[p].rec \in G /\ @[p].by = a THEN [d.permit[p] EXCEPT !.by = b] ELSE d.permit[p]]]

\* "Enforced by consent: an agreement names the target and nothing is in flight; or never reached, attempts carrying over."
HandOver(r, b) ==
  /\ On("handover") /\ consent.up /\ consent.lead[r] \notin {None, b} /\ b # "S" /\ world.passed = {}
  /\ LET a == consent.lead[r]
         G == ConsentGroup(r)
     IN /\ ~AnyOf(consent, G, Unresolved) \/ Broken("handover_in_flight")
        /\ consent' = Move(consent, G, a, b)
        /\ world' = [world EXCEPT !.passed = {<<a, b>>}]
        /\ Say(<<"The lead of", r, "is handed over from agency", a, "to agency", b>>)
  /\ UNCHANGED <<intake, sender>>

\* "An agency's successor inherits its leads from the moment of succession": the event first, then person by person.
Succeed ==
  /\ On("succeed") /\ consent.up /\ ~consent.succ
  /\ consent' = [consent EXCEPT !.succ = TRUE]
  /\ world' = [world EXCEPT !.passed = @ \union {<<"A", "S">>}]
  /\ Say(<<"Agency A is succeeded by agency S">>)
  /\ UNCHANGED <<intake, sender>>

Inherit(r) ==
  /\ consent.up /\ consent.succ /\ "A" \in {consent.lead[r], consent.own[r]}
  /\ LET moved == Move(consent, ConsentGroup(r), "A", "S") IN
     consent' = IF Broken("successor_starts_afresh")
                THEN [moved EXCEPT !.permit = [p \in Permits |->
                        IF @[p].rec \in ConsentGroup(r) THEN [@[p] EXCEPT !.st = "ended"] ELSE @[p]]]
                ELSE moved
  /\ Say(<<"Agency S inherits the lead of", r>>)
  /\ UNCHANGED <<intake, sender, world>>

\* The lead returns the case. What was done stays in the ledger: the next lead may not begin again.
EndLead(r) ==
  /\ On("endlead") /\ consent.up /\ consent.lead[r] # None
  /\ LET a == consent.lead[r]
         G == ConsentGroup(r)
     IN consent' = [Revoke(consent, G) EXCEPT
          !.lead = [s \in Records |-> IF s \in G THEN None ELSE @[s]],
          !.own = [s \in Records |-> IF s \in G /\ @[s] = a THEN None ELSE @[s]]]
  /\ Say(<<"The lead of", r, "gives the case back">>)
  /\ UNCHANGED <<intake, sender, world>>

---------------------------------------------------------------------------
\* A copy of the database; later the disk is lost and the copy is put in its place. What had been published is in the
\* topic; permits of which nothing had been published yet are lost from both. (A withdrawal that was committed, not yet
\* published and then restored away is outside the claim: only the synchronous standby covers it.)
BackUp ==
  /\ On("restore") /\ consent.up /\ world.backup = <<>>
  /\ world' = [world EXCEPT !.backup = consent]
  /\ Say(<<"A back-up of consent's database is taken">>)
  /\ UNCHANGED <<intake, consent, sender>>

Forget(c, lost) == [c EXCEPT !.permit = [p \in Permits |->
  IF p \in lost THEN [st |-> "none", rec |-> None, by |-> None] ELSE c.permit[p]]]

Restore ==
  /\ On("restore") /\ consent.up /\ world.backup # <<>> /\ world.topic = <<>>
  /\ \E lost \in SUBSET {p \in Permits : consent.permit[p].st \in {"granted", "redeemed"}} :
       /\ world' = [world EXCEPT !.topic = Forget(consent, lost)]
       /\ Say(<<"Consent's disk is lost", IF lost = {} THEN "" ELSE "before anything was published of permit", lost, ", and the back-up is restored">>)
  /\ consent' = [world.backup EXCEPT !.up = Broken("restored_is_trusted")]
  /\ UNCHANGED <<intake, sender>>

\* "It starts closed until it has reconciled with the topic, consent also with intake's releases." Its own facts come from
\* the topic; the inbox is not in it, so the inbox stays where the back-up had it and the people topic is read again from
\* there. Unredeemed permits do not survive. Leads follow from the ledgers and from the link as far as it is known again.
Reconcile ==
  /\ ~consent.up
  /\ LET t == world.topic
         released(p) == intake.row[p].st \in {"noted", "lost", "yes", "dead", "handed"} /\ ~Broken("releases_not_reconciled")
         told == Revoke([consent EXCEPT !.up = TRUE, !.succ = t.succ, !.no = t.no, !.own = t.own, !.lead = t.own,
                   !.permit = [p \in Permits |->
                      IF t.permit[p].st \in {"none", "granted"} /\ released(p)
                      THEN [st |-> "redeemed", rec |-> sender[p].rec, by |-> sender[p].ag] ELSE t.permit[p]]], Records)
     IN IF ~Odd(consent.gen) THEN consent' = told
        ELSE IF Odd(t.gen) THEN consent' = [told EXCEPT !.lead = t.lead]
        ELSE \E w \in Winners(told) : consent' = [told EXCEPT !.lead = [r \in Records |-> t.own[w]]]
  /\ Say(<<"Consent reconciles with its topic", IF Broken("releases_not_reconciled") THEN "alone" ELSE "and with intake's releases", ", and opens">>)
  /\ UNCHANGED <<intake, sender, world>>
=============================================================================
