"""The rules of notifications: who is told what, lanes of deliveries, subscriptions, messages to people. Pure functions."""

from services.notifications.domain import (
    cursor,
    lane,
    message,
    of_cases,
    of_consent,
    of_referrals,
    subscription,
)
from services.notifications.domain.book import Book, Entry, Notice, Part, Restriction
from services.notifications.domain.lane import LaneState
from services.notifications.domain.message import MessageState
from services.notifications.domain.tell import LAST_WORDS, tell

__all__ = [
    "LAST_WORDS",
    "Book",
    "Entry",
    "LaneState",
    "MessageState",
    "Notice",
    "Part",
    "Restriction",
    "cursor",
    "lane",
    "message",
    "of_cases",
    "of_consent",
    "of_referrals",
    "subscription",
    "tell",
]
