"""From a stored referral to people and cases: load what was sent, recognise the people, place the cases, tell the others."""
