"""The demonstration: referrals of several agencies about people who lived long ago, and what becomes of them."""
