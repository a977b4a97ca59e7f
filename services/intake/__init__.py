"""Intake: referrals come in here, and it is worked out who the people are.

Owns      referrals, who is who, contact details and safe-contact rules: the only place with personal data, encrypted.
Publishes people (key person_id), referrals (key case_id).
Consumes  consent (who said no, whose approach is live), cases (what became of a referral), agencies (successions).
Releases  contact details once for each permit, after consent has redeemed it.
"""
