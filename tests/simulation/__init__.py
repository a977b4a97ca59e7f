"""Deterministic simulation: the real services on simulated time, and everything goes wrong that can; one seed, one history.

Real, unchanged, imported from where they are: the rules of consent and intake; consent's handlers, routes and stores;
intake's release and withdrawal in all their steps, its handlers and its loops; the whole runtime (unit of work, retries,
locking, saving, outbox and relay, consumer, inbox, reorder buffer, quarantine, repair, timers, idempotency, restoration's
comparison at every start, the service that supervises its loops).

Simulated: time and the event loop (loop.py); PostgreSQL, as what each SQL statement of the code does to rows in memory under
row locks and READ COMMITTED (database.py, statements*.py; tests/simulation/test_database.py holds them to a real server);
Kafka's clients and broker (broker.py); HTTP, as a call of the route's function in the process that is reached, or not
(cluster.py); ids and randomness.

Left out: FastAPI's own reading of requests and tokens; intake's matcher (the simulation decides who is who, through the real
rules) and its encryption; allocation (its events come from a list) and notifications; contact persons; cases on two sides;
lost tails of topics; another database than consent's restored from an old copy. The other proofs have these to show: see
docs/correctness.md.
"""
