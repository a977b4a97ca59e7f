------------------------------ MODULE Matching ------------------------------
(* The identity race at intake, statement by statement: records of one human arrive at once, in     *)
(* transactions that cannot see each other, while an earlier record of the same human is erased.    *)
EXTENDS Naturals, FiniteSets

CONSTANTS Arrivals,     \* how many referrals of this human arrive at once
          KeysEach,     \* how many blocking keys each of them has
          Mutations, Story

Matchers == 1..Arrivals
Eraser == 0
Transactions == Matchers \union {Eraser}
\* Any two records share a key: record t has the keys t, t+1, ... round a circle; the old record has them all.
Keys == 1..Arrivals
KeysOf(t) == IF t = Eraser THEN Keys ELSE {((t + i - 1) % Arrivals) + 1 : i \in 0..(KeysEach - 1)}
Share(t, u) == KeysOf(t) \intersect KeysOf(u) # {}

VARIABLES records,      \* committed: the records (0 is the old one) that have their details
          suppressed,   \* committed: the old record's suppression
          joined,       \* committed: pairs {t, u} found to be one human
          held,         \* committed: records that met the suppression
          locks,        \* key -> holder, or "free"
          txn,          \* transaction -> [at, suppression seen, records seen]
          said
vars == <<records, suppressed, joined, held, locks, txn, said>>
seen == <<records, suppressed, joined, held, locks, txn>>

Broken(m) == m \in Mutations
Say(sentence) == said' = IF Story THEN sentence ELSE <<>>
Free == Arrivals + 1
Name(t) == IF t = Eraser THEN <<"the erasure">> ELSE <<"the matcher of referral", t>>

Init == /\ records = {Eraser} /\ suppressed = FALSE /\ joined = {} /\ held = {}
        /\ locks = [k \in Keys |-> Free]
        /\ txn = [t \in Transactions |-> [at |-> "begin", supp |-> FALSE, saw |-> {}]]
        /\ said = <<>>

Held(t) == {k \in Keys : locks[k] = t}
Seeing == IF Broken("look_before_lock") THEN ", and sees what was committed when it began" ELSE ""
LockFree(t) == (t = Eraser /\ Broken("erasure_without_lock")) \/ (t # Eraser /\ Broken("no_blocking_lock"))

\* (In the wrong variant the look is one statement with the lock: its snapshot is older than the lock.)
Begin(t) ==
  /\ txn[t].at = "begin"
  /\ txn' = [txn EXCEPT ![t] = [at |-> IF LockFree(t) THEN "locked" ELSE "locking",
               supp |-> suppressed, saw |-> records]]
  /\ Say(<<Name(t), "begins", IF Broken("look_before_lock") THEN ", and sees what is committed now" ELSE "">>)
  /\ UNCHANGED <<records, suppressed, joined, held, locks>>

\* "Takes advisory locks on the record's blocking keys, in order."
Lock(t) ==
  /\ txn[t].at = "locking"
  /\ \E k \in KeysOf(t) \ Held(t) :
       /\ locks[k] = Free
       /\ Broken("keys_in_any_order") \/ \A l \in KeysOf(t) \ Held(t) : k <= l
       /\ locks' = [locks EXCEPT ![k] = t]
       /\ txn' = [txn EXCEPT ![t].at = IF Held(t) \union {k} = KeysOf(t) THEN "locked" ELSE "locking"]
       /\ Say(<<Name(t), "locks key", k>>)
  /\ UNCHANGED <<records, suppressed, joined, held>>

\* "Then looks in a new statement for who the people are": in two statements, suppressions and records.
LookForSuppressions(t) ==
  /\ t # Eraser /\ txn[t].at = "locked"
  /\ txn' = [txn EXCEPT ![t].at = "looking", ![t].supp = IF Broken("look_before_lock") THEN @ ELSE suppressed]
  /\ Say(<<Name(t), "looks for suppressions", Seeing>>)
  /\ UNCHANGED <<records, suppressed, joined, held, locks>>

LookForRecords(t) ==
  /\ t # Eraser /\ txn[t].at = "looking"
  /\ txn' = [txn EXCEPT ![t].at = "writing", ![t].saw = IF Broken("look_before_lock") THEN @ ELSE records]
  /\ Say(<<Name(t), "looks for records", Seeing>>)
  /\ UNCHANGED <<records, suppressed, joined, held, locks>>

\* Record, link and hold in one transaction.
Write(t) ==
  /\ t # Eraser /\ txn[t].at = "writing"
  /\ records' = records \union {t}
  /\ joined' = joined \union {{t, u} : u \in {u \in txn[t].saw : Share(t, u)}}
  /\ held' = IF txn[t].supp THEN held \union {t} ELSE held
  /\ locks' = [k \in Keys |-> IF locks[k] = t THEN Free ELSE locks[k]]
  /\ txn' = [txn EXCEPT ![t].at = "done"]
  /\ Say(<<Name(t), "commits its record">>)
  /\ UNCHANGED suppressed

Erase ==
  /\ txn[Eraser].at = "locked"
  /\ records' = records \ {Eraser} /\ suppressed' = TRUE
  /\ locks' = [k \in Keys |-> IF locks[k] = Eraser THEN Free ELSE locks[k]]
  /\ txn' = [txn EXCEPT ![Eraser].at = "done"]
  /\ Say(<<"the erasure commits: the old record's details are gone, its suppression stays">>)
  /\ UNCHANGED <<joined, held>>

Next == Erase \/ \E t \in Transactions :
  Begin(t) \/ Lock(t) \/ LookForSuppressions(t) \/ LookForRecords(t) \/ Write(t)
Spec == Init /\ [][Next]_vars

Done(t) == txn[t].at = "done"
N1_records_of_one_human_meet ==
  \A t, u \in Matchers : t # u /\ Done(t) /\ Done(u) /\ Share(t, u) => {t, u} \in joined
N2_erased_is_never_forgotten == \A t \in Matchers : Done(t) => t \in held \/ {t, Eraser} \in joined
N9_no_deadlock == ~\E t, u \in Transactions : t # u /\ txn[t].at = "locking" /\ txn[u].at = "locking"
  /\ (\A k \in KeysOf(t) \ Held(t) : locks[k] = u) /\ (\A k \in KeysOf(u) \ Held(u) : locks[k] = t)
=============================================================================
