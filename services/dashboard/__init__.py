"""What operators and hub co-ordinators look at, and decide: pages, rendered here, working without scripts for reading.

Owns: nothing that others need. It keeps no personal data: what a page shows comes from the service that owns it, by call,
with the token of whoever is signed in, and goes to that browser and nowhere else.
Publishes: nothing.
Consumes: `people`, `referrals` (to tell open pages that the queue has changed).
Calls: intake (the review queue, decisions, what takes two people), notifications (deliveries that failed),
allocation (what agencies are called, the commissioner's figures).
"""
