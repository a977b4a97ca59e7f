------------------------------- MODULE World -------------------------------
(* What exists: four places that each have a state of their own, and nothing that joins them but  *)
(* calls and delayed events. Every action of the model is ONE database transaction of ONE service *)
(* (or one step of a sender); Locking.tla shows why a transaction may be taken as one step.       *)
(* A function of another place is read only where the protocol makes a call.                      *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Agencies,     \* organisations that may be proposed as a lead
  MaxPermits,   \* how many permits a history may have
  MaxLinks,     \* how many link and unlink decisions a history may have
  MaxLog,       \* how many events one person's key may have
  Limit,        \* attempts that the policy allows in one approach
  KeysMeet,     \* the two records have blocking keys in common: the matcher can know them for one
  OnePhone,     \* the two records have a telephone in common
  Features,     \* which parts of the protocol this configuration explores
  Mutations,    \* which rules are switched off (none, unless the run is meant to fail)
  Story         \* TRUE: every step leaves a plain sentence (only to tell a counterexample)

Records == {"r1", "r2"}     \* two records; in truth one human, or not: nobody here knows
Permits == 1..MaxPermits
None == "-"

VARIABLES
  intake,   \* who is who, holds, releases, withdrawals that were taken in
  consent,  \* standing, leads, permits: the single source of truth on contact
  sender,   \* for each permit: the holder (a worker, or notifications) and what it does
  world,    \* what only a witness sees: time, answers given to people, back-ups
  said      \* the sentence of the last step, when Story

vars == <<intake, consent, sender, world, said>>
seen == <<intake, consent, sender, world>>      \* a state's identity: the sentence is no part of it

On(f) == f \in Features
Broken(m) == m \in Mutations
Say(sentence) == said' = IF Story THEN sentence ELSE <<>>

Other(r) == CHOOSE s \in Records : s # r
Odd(n) == n % 2 = 1

\* Link decisions about a pair are numbered 1, 2, 3 ... by intake, under its locks. Odd: linked; even: apart.
IntakeGroup(r) == IF Odd(intake.gen) THEN Records ELSE {r}
GroupIn(c, r) == IF Odd(c.gen) THEN Records ELSE {r}
ConsentGroup(r) == GroupIn(consent, r)

\* What intake must treat as one human: linked; or recognisable by blocking keys or by the
\* telephone and never looked at by a person, who alone may say that they are two.
Together(r) == IF Odd(intake.gen) \/ (intake.gen = 0 /\ (KeysMeet \/ OnePhone)) THEN Records ELSE {r}

---------------------------------------------------------------------------
\* A permit at consent: granted, then redeemed, then one of the rest.
Unresolved == {"redeemed", "unknown"}
OpenStates == {"granted"} \union Unresolved
Contacted == {"reached", "declined", "unreached", "contacted"}

PermitsOf(c, G) == {p \in Permits : c.permit[p].rec \in G}
AnyOf(c, G, states) == \E p \in Permits : c.permit[p].rec \in G /\ c.permit[p].st \in states
Attempts(c, G) == Cardinality({p \in PermitsOf(c, G) : c.permit[p].st \in Contacted \union Unresolved})

\* Unredeemed permits of these records end; a redeemed one is untouched by anything but its outcome.
Revoke(c, G) ==
  [c EXCEPT !.permit = [p \in Permits |->
     IF c.permit[p].rec \in G /\ c.permit[p].st = "granted" THEN [c.permit[p] EXCEPT !.st = "ended"] ELSE c.permit[p]]]

Restrictive == {"linked", "held", "erased"}
LinkEvents == {"linked", "unlinked"}
\* The number of the link decision that the n-th event of a key carries.
Ordinal(r, n) == Cardinality({k \in 1..n : intake.log[r][k] \in LinkEvents})

---------------------------------------------------------------------------
Init ==
  /\ intake = [known |-> [r \in Records |-> FALSE],     \* a referral of it has been stored and matched
               gone  |-> [r \in Records |-> FALSE],     \* erased: its key is destroyed
               supp  |-> FALSE,                         \* a suppression that a later referral of this human meets
               gen   |-> 0,                             \* the last link decision
               hold  |-> [r \in Records |-> FALSE],
               log   |-> [r \in Records |-> <<>>],      \* the journal of the person's key = topic `people`
               row   |-> [p \in Permits |-> [st |-> "none", seen |-> [r \in Records |-> 0]]],   \* the release
               wd    |-> [r \in Records |-> [st |-> "none", group |-> {}]]]                      \* withdrawals taken in
  /\ consent = [up      |-> TRUE,
                succ    |-> FALSE,                      \* knows that agency A has been succeeded by S
                known   |-> [r \in Records |-> FALSE],
                applied |-> [r \in Records |-> 0],      \* the inbox: the last event of the key that was applied
                got     |-> [r \in Records |-> 0],      \* delivered; beyond `applied` it waits
                parked  |-> [r \in Records |-> FALSE],
                gen     |-> 0,
                hold    |-> [r \in Records |-> FALSE],
                no      |-> [r \in Records |-> FALSE],  \* the record's own ledger says no
                own     |-> [r \in Records |-> None],   \* the lead by the record's own ledger
                lead    |-> [r \in Records |-> None],   \* the lead that is in force (of the whole group)
                permit  |-> [p \in Permits |-> [st |-> "none", rec |-> None, by |-> None]]]
  /\ sender = [p \in Permits |-> [st |-> "idle", rec |-> None, ag |-> None, sends |-> 0]]
  /\ world = [late    |-> [p \in Permits |-> FALSE],    \* use_by has passed
              handed  |-> [p \in Permits |-> 0],        \* how often a release was handed out
              answer  |-> [r \in Records |-> [kind |-> "none", named |-> {}, bound |-> {}]],
              passed  |-> {},                           \* <<from, to>>: hand-overs and successions
              backup  |-> <<>>,                         \* a copy of consent's database
              topic   |-> <<>>]                         \* what consent had published when its disk was lost
  /\ said = <<>>
=============================================================================
