"""The small runtime that all services live in, and the only code that commits.

Read in this order: stream, unit_of_work, wire, outbox, inbox, consumer, quarantine, timers, service; then http, auth,
idempotency, telemetry and restoration as needed.
"""
