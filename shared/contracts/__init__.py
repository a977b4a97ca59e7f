"""What the services say to each other. Importing this package registers every event type."""

from shared.contracts import agencies, cases, consent, envelope, notifications, people, referrals

__all__ = ["agencies", "cases", "consent", "envelope", "notifications", "people", "referrals"]
