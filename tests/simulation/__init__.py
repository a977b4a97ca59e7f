"""Deterministic simulation: the real services on simulated time, and everything goes wrong that can; one seed, one history.

Real, unchanged, imported from where they are: the rules of consent, intake and allocation; consent's and allocation's
handlers, routes and stores; intake's release and withdrawal in all their steps, its handlers and its loops; how allocation
decides by a policy (policies/: the smallest that has two agencies and a hub, over the real vocabulary); the whole runtime
(unit of work, retries, locking, saving, outbox and relay, consumer, inbox, reorder buffer, quarantine, repair, timers,
idempotency, restoration's comparison at every start, the service that supervises its loops).

Simulated: time and the event loop (loop.py); PostgreSQL, as what each SQL statement of the code does to rows in memory under
row locks and READ COMMITTED (database.py, statements*.py; tests/simulation/test_database.py holds them to a real server; one
statement in three is answered before anything else happens, the others take time); Kafka's clients and broker (broker.py);
HTTP, as a call of the route's function in the process that is reached, or not (cluster.py); ids and randomness.

Who is who, and which case a referral belongs to, is decided by the history in the matcher's place: it records
person.referred and referral.received by intake's real rules, as the matcher does. From there on cases are allocation's own:
proposed by policy, decided by consent, led elsewhere where the person is led for another incident; the hub decides, hands
over, takes back and closes, and agencies give back, by allocation's routes, which ask consent by its own (casework.py).

In the end every open case names who leads at consent, no case is forgotten (nobody leads it, and nobody was asked who
shall), nobody was last told of a lead that is none, and every lead stands for an open case (witness_of_cases.py).

Left out: FastAPI's own reading of requests and tokens; intake's matcher and its encryption; notifications; contact persons;
cases on two sides, and joined ones; checks, registered workers and their hours, published policies, successions; lost tails
of topics; intake's database restored from an old copy. The other proofs have these to show: see docs/correctness.md.
"""
