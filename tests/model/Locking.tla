------------------------------ MODULE Locking ------------------------------
(* Why one transaction of consent may be taken as one step in the other modules: the lock protocol *)
(* of consent under READ COMMITTED, statement by statement. Two grants for two records, a link and *)
(* an unlink of the two, all at once.                                                              *)
EXTENDS Naturals, FiniteSets

CONSTANTS Grants,       \* how many grant requests there are
          Decisions,    \* how many link decisions arrive: link, unlink, link
          Mutations, Story

Rows == {"r1", "r2"}
Granting == 1..Grants
Linking == {Grants + 1}
Transactions == Granting \union Linking
Mine(t) == IF t \in Linking THEN "r1" ELSE IF t % 2 = 1 THEN "r1" ELSE "r2"
Rank(r) == IF r = "r1" THEN 1 ELSE 2

VARIABLES linked,     \* committed
          permit,     \* committed: row -> how many permits are granted for it
          decided,    \* how many link decisions have been applied
          locks,      \* row -> the transaction that holds its lock, or 0
          txn,        \* transaction -> where it is, the rows that it wants, what it read
          said
vars == <<linked, permit, decided, locks, txn, said>>
seen == <<linked, permit, decided, locks, txn>>

Broken(m) == m \in Mutations
Say(sentence) == said' = IF Story THEN sentence ELSE <<>>
Name(t) == IF t \in Linking THEN "the link's transaction" ELSE IF Mine(t) = "r1" THEN "a grant for r1" ELSE "a grant for r2"

Init == /\ linked = FALSE /\ permit = [r \in Rows |-> 0] /\ decided = 0
        /\ locks = [r \in Rows |-> 0]
        /\ txn = [t \in Transactions |-> [at |-> "idle", want |-> {}, free |-> FALSE]]
        /\ said = <<>>

Group(t) == IF linked \/ t \in Linking THEN Rows ELSE {Mine(t)}
Wanted(t) == IF Broken("own_row_only") /\ t \notin Linking THEN {Mine(t)} ELSE Group(t)
Held(t) == {r \in Rows : locks[r] = t}
Let_go(t) == [r \in Rows |-> IF locks[r] = t THEN 0 ELSE locks[r]]

\* A first statement reads the links: these are the rows to lock.
Look(t) ==
  /\ txn[t].at = "idle" /\ (t \in Linking => decided < Decisions)
  /\ txn' = [txn EXCEPT ![t] = [at |-> "locking", want |-> Wanted(t), free |-> FALSE]]
  /\ Say(<<Name(t), "reads the links">>)
  /\ UNCHANGED <<linked, permit, decided, locks>>

\* "SELECT ... FOR UPDATE, in one id order": waits for whoever holds the row.
Lock(t) ==
  /\ txn[t].at = "locking"
  /\ \E r \in txn[t].want \ Held(t) :
       /\ locks[r] = 0
       /\ Broken("locks_in_any_order") \/ \A s \in txn[t].want \ Held(t) : Rank(r) <= Rank(s)
       /\ locks' = [locks EXCEPT ![r] = t]
       /\ txn' = [txn EXCEPT ![t].at = IF txn[t].want = Held(t) \union {r} THEN "locked" ELSE "locking"]
       /\ Say(<<Name(t), "locks", r>>)
  /\ UNCHANGED <<linked, permit, decided>>

\* "Read the links again in a second statement and start over if they changed."
LookAgain(t) ==
  /\ txn[t].at = "locked"
  /\ IF Wanted(t) = txn[t].want \/ Broken("links_not_read_again")
     THEN /\ txn' = [txn EXCEPT ![t].at = "deciding"] /\ UNCHANGED locks
          /\ Say(<<Name(t), "has its locks and finds the links as they were">>)
     ELSE /\ txn' = [txn EXCEPT ![t].at = "idle"] /\ locks' = Let_go(t)
          /\ Say(<<Name(t), "finds the links changed and starts over">>)
  /\ UNCHANGED <<linked, permit, decided>>

\* The states are read: may the permit be granted? Then, in another statement, written and committed.
\* In the variant that does not look again, the group is the one that it locked.
Decide(t) ==
  /\ txn[t].at = "deciding"
  /\ LET G == IF Broken("links_not_read_again") THEN txn[t].want ELSE Group(t) IN
     txn' = [txn EXCEPT ![t].at = "committing", ![t].free = \A r \in G : permit[r] = 0]
  /\ Say(<<Name(t), "reads the state of", IF Broken("links_not_read_again") THEN "what it has locked" ELSE "its group", "and decides">>)
  /\ UNCHANGED <<linked, permit, decided, locks>>

Commit(t) ==
  /\ txn[t].at = "committing"
  /\ locks' = Let_go(t)
  /\ IF t \in Linking
     THEN /\ linked' = ~linked /\ decided' = decided + 1
          /\ permit' = [r \in Rows |-> 0]     \* unredeemed permits are revoked
          /\ txn' = [txn EXCEPT ![t].at = "idle"]
     ELSE /\ permit' = IF txn[t].free THEN [permit EXCEPT ![Mine(t)] = @ + 1] ELSE permit
          /\ txn' = [txn EXCEPT ![t].at = "done"]
          /\ UNCHANGED <<linked, decided>>
  /\ Say(<<Name(t), "commits", IF t \in Linking THEN "and revokes what is unredeemed" ELSE IF txn[t].free THEN "a permit" ELSE "a refusal">>)

Next == \E t \in Transactions : Look(t) \/ Lock(t) \/ LookAgain(t) \/ Decide(t) \/ Commit(t)
Spec == Init /\ [][Next]_vars
LiveSpec == Spec /\ \A t \in Transactions : WF_vars(Look(t) \/ Lock(t) \/ LookAgain(t) \/ Decide(t) \/ Commit(t))

N1_one_permit_per_group == permit["r1"] <= 1 /\ permit["r2"] <= 1 /\ (linked => permit["r1"] + permit["r2"] <= 1)
\* Two never wait for each other.
N9_no_deadlock == ~\E t, u \in Transactions : t # u /\ txn[t].at = "locking" /\ txn[u].at = "locking"
  /\ (\A r \in txn[t].want \ Held(t) : locks[r] = u) /\ (\A r \in txn[u].want \ Held(u) : locks[r] = t)
=============================================================================
