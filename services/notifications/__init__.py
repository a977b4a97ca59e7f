"""Notifications: each agency's feed and what is delivered of it; messages to people, each against a redeemed permit.

Owns: feeds, subscriptions, deliveries, messages, and small read models of who has a part in which case.
Consumes: `cases`, `consent`, `agencies`, `referrals`. Publishes: `notifications` (lanes of deliveries, messages).
Holds no contact details: between release and sending they live in memory only.
"""
