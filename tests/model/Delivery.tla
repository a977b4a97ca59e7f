------------------------------ MODULE Delivery ------------------------------
(* Why "Kafka may delay an event for as long as it likes" is all that the other modules need to say *)
(* about it: one key's events from the journal of their owner, by outbox, relay and topic, to the   *)
(* inbox of a consumer; with crashes, duplicates, reordering, a lost topic and a lost tail.         *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS MaxEvents,    \* how many events the key has
          MaxFaults,    \* how many faults a history may have
          MaxTopic,     \* how long a topic may grow
          Mutations, Story

Events == 1..MaxEvents

VARIABLES journal,    \* owner's database: how many events are committed
          outbox,     \* owner's database: positions not yet told
          flying,     \* published, the acknowledgement not yet seen by the relay
          topic,      \* the records of the partition, as the broker has them
          topicId, knownId,     \* the topic's Kafka id; and the one that the relay knows
          inbox,      \* consumer's database: the last sequence that was applied
          effects,    \* consumer's database: what was applied, in order
          buffer,     \* consumer's database: events after a jump
          offset, offsetId,     \* consumer's database: where to read on, and in which topic
          position,   \* consumer's memory: what has been read of the topic
          faults, said
vars == <<journal, outbox, flying, topic, topicId, knownId, inbox, effects, buffer, offset, offsetId, position, faults, said>>
seen == <<journal, outbox, flying, topic, topicId, knownId, inbox, effects, buffer, offset, offsetId, position, faults>>

owner == <<journal, outbox, flying, knownId>>
broker == <<topic, topicId>>
consumer == <<inbox, effects, buffer, offset, offsetId, position>>

Broken(m) == m \in Mutations
Say(sentence) == said' = IF Story THEN sentence ELSE <<>>

Init == /\ journal = 0 /\ outbox = {} /\ flying = {} /\ topic = <<>> /\ topicId = 1 /\ knownId = 1
        /\ inbox = 0 /\ effects = <<>> /\ buffer = {} /\ offset = 0 /\ offsetId = 1 /\ position = 0
        /\ faults = 0 /\ said = <<>>

\* State, journal and outbox in one transaction: this is what was acknowledged to whoever asked for it.
Commit ==
  /\ journal < MaxEvents
  /\ journal' = journal + 1 /\ outbox' = outbox \union {journal + 1}
  /\ Say(<<"The owner commits event", journal + 1>>)
  /\ UNCHANGED <<flying, knownId, faults, broker, consumer>>

\* The relay publishes, and deletes what was acknowledged. Any order of one key's events is allowed here: worse than the
\* relay, which keeps it.
Publish(e) ==
  /\ e \in outbox \ flying /\ Len(topic) < MaxTopic /\ topicId = knownId
  /\ topic' = Append(topic, e) /\ flying' = flying \union {e}
  /\ outbox' = IF Broken("outbox_deleted_before_ack") THEN outbox \ {e} ELSE outbox
  /\ Say(<<"The relay publishes event", e>>)
  /\ UNCHANGED <<journal, knownId, topicId, faults, consumer>>

Acknowledge(e) ==
  /\ e \in flying
  /\ flying' = flying \ {e} /\ outbox' = outbox \ {e}
  /\ Say(<<"The broker acknowledges event", e>>)
  /\ UNCHANGED <<journal, knownId, faults, broker, consumer>>

\* "A new id (the topic was lost) puts all its positions back."
SeeNewTopic ==
  /\ knownId # topicId
  /\ knownId' = topicId /\ flying' = {}
  /\ outbox' = IF Broken("new_topic_not_refilled") THEN outbox ELSE 1..journal
  /\ Say(<<"The relay sees that the topic is a new one and puts", IF Broken("new_topic_not_refilled") THEN "nothing" ELSE "everything", "back">>)
  /\ UNCHANGED <<journal, faults, broker, consumer>>

\* At the broker's restart the relay compares both ways: what its journal has told and the topic's end lacks goes back.
CompareEnds ==
  /\ ~Broken("lost_tail_not_compared") /\ knownId = topicId
  /\ LET told == {topic[n] : n \in 1..Len(topic)}
         lacking == {e \in 1..journal : e \notin told} \ outbox
     IN lacking # {} /\ outbox' = outbox \union lacking
  /\ Say(<<"The relay finds that the topic has lost its end and puts it back">>)
  /\ UNCHANGED <<journal, flying, knownId, faults, broker, consumer>>

---------------------------------------------------------------------------
\* The inbox: lower or equal is skipped, the next is applied, a jump waits. One transaction with the effects, and with
\* the offset or after it.
Take(e) ==
  IF e <= inbox /\ ~Broken("duplicates_are_applied") THEN UNCHANGED <<inbox, effects, buffer>>
  ELSE IF e = inbox + 1 \/ Broken("jumps_are_applied") \/ e <= inbox
  THEN inbox' = e /\ effects' = Append(effects, e) /\ UNCHANGED buffer
  ELSE buffer' = buffer \union {e} /\ UNCHANGED <<inbox, effects>>

Read ==
  /\ position < Len(topic) /\ offsetId = topicId /\ Len(effects) < MaxEvents + 2
  /\ Take(topic[position + 1]) /\ position' = position + 1
  /\ Say(<<"The consumer reads event", topic[position + 1], IF effects' # effects THEN "and applies it"
           ELSE IF buffer' # buffer THEN ", which waits for the one before it" ELSE "and skips it">>)
  /\ UNCHANGED <<offset, offsetId, faults, owner, broker>>

CommitOffset ==
  /\ offset # position /\ offset' = position
  /\ Say(<<"The consumer commits its offset">>)
  /\ UNCHANGED <<inbox, effects, buffer, offsetId, position, faults, owner, broker>>

\* (A wrong variant: the offset first, the effects after it.)
CommitOffsetFirst ==
  /\ Broken("offset_before_effects") /\ position = offset /\ position < Len(topic) /\ offset' = position + 1
  /\ Say(<<"The consumer commits the offset of an event that it has not yet handled">>)
  /\ UNCHANGED <<inbox, effects, buffer, offsetId, position, faults, owner, broker>>

Drain ==
  /\ inbox + 1 \in buffer
  /\ inbox' = inbox + 1 /\ effects' = Append(effects, inbox + 1) /\ buffer' = {e \in buffer : e > inbox + 1}
  /\ Say(<<"The consumer applies the waiting event", inbox + 1>>)
  /\ UNCHANGED <<offset, offsetId, position, faults, owner, broker>>

\* "The gap is asked of its source."
AskSource ==
  /\ ~Broken("gap_not_asked") /\ buffer # {} /\ inbox + 1 \notin buffer /\ inbox < journal
  /\ inbox' = inbox + 1 /\ effects' = Append(effects, inbox + 1) /\ buffer' = {e \in buffer : e > inbox + 1}
  /\ Say(<<"The consumer asks the owner's journal for event", inbox + 1>>)
  /\ UNCHANGED <<offset, offsetId, position, faults, owner, broker>>

\* "Offsets are kept with the topic's id; a new id starts from the earliest."
FollowNewTopic ==
  /\ offsetId # topicId
  /\ offsetId' = topicId
  /\ IF Broken("topic_id_ignored") THEN UNCHANGED <<offset, position>> ELSE offset' = 0 /\ position' = 0
  /\ Say(<<"The consumer sees that the topic is a new one and reads on",
           IF Broken("topic_id_ignored") THEN "where it was in the old one" ELSE "from its beginning">>)
  /\ UNCHANGED <<inbox, effects, buffer, faults, owner, broker>>

---------------------------------------------------------------------------
Fault == faults < MaxFaults /\ faults' = faults + 1

\* Killed after the publish and before the acknowledgement was written down: it will publish again.
RelayCrash ==
  /\ Fault /\ flying # {} /\ flying' = {}
  /\ topic' \in (IF Broken("outbox_deleted_before_ack") THEN {topic, SubSeq(topic, 1, Len(topic) - 1)} ELSE {topic})
  /\ Say(<<"The relay is killed", IF topic' = topic THEN "before it sees the acknowledgement" ELSE ", and what it had just sent never arrives">>)
  /\ UNCHANGED <<journal, outbox, knownId, topicId, consumer>>

ConsumerCrash ==
  /\ Fault /\ (position # offset \/ buffer # {})
  /\ position' = offset /\ buffer' = IF Broken("buffer_in_memory") THEN {} ELSE buffer
  /\ Say(<<"The consumer is killed and begins again at its offset">>)
  /\ UNCHANGED <<inbox, effects, offset, offsetId, owner, broker>>

LoseTopic ==
  /\ Fault /\ topicId = knownId
  /\ topic' = <<>> /\ topicId' = topicId + 1
  /\ Say(<<"The broker comes back with an empty disk: the topic is a new one">>)
  /\ UNCHANGED <<owner, consumer>>

\* One replica and a power cut: an acknowledged end of the topic is gone, and its id is the same. A consumer that was
\* beyond the end is set back to it.
LoseTail ==
  /\ Fault /\ topic # <<>>
  /\ LET n == Len(topic) - 1 IN
     /\ topic' = SubSeq(topic, 1, n)
     /\ position' = IF position > n THEN n ELSE position
     /\ offset' = IF offset > n THEN n ELSE offset
  /\ Say(<<"A power cut: the broker loses the end of the topic">>)
  /\ UNCHANGED <<topicId, inbox, effects, buffer, offsetId, owner>>

Next ==
  \/ Commit \/ SeeNewTopic \/ CompareEnds \/ Read \/ CommitOffset \/ CommitOffsetFirst \/ Drain \/ AskSource \/ FollowNewTopic
  \/ RelayCrash \/ ConsumerCrash \/ LoseTopic \/ LoseTail
  \/ \E e \in Events : Publish(e) \/ Acknowledge(e)
Spec == Init /\ [][Next]_vars
LiveSpec == Spec
  /\ WF_vars(SeeNewTopic) /\ WF_vars(CompareEnds) /\ WF_vars(Read) /\ WF_vars(Drain) /\ WF_vars(AskSource)
  /\ WF_vars(FollowNewTopic) /\ \A e \in Events : WF_vars(Publish(e)) /\ WF_vars(Acknowledge(e))

\* Every event that was applied was applied once, in order, and none was left out.
N4_each_once_in_order == effects = [n \in 1..inbox |-> n]
\* What was acknowledged is applied in the end.
N9_all_arrives == \A e \in Events : journal >= e ~> inbox >= e
=============================================================================
