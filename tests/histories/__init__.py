"""Random histories of one human known by two ids, whose cases are joined and parted: one seed, one history.

Real: every decision and state of consent's and of allocation's domain. Stood in for, as plainly as can be: intake's
decisions (who is whom, which case a referral is in) by what it would tell of them; the topics, as a list for each key; the
few lines of each handler that say which case an event is about, and the two look-ups in allocation's rows; policy, by the
referrers as leads.

Driven, at random: three referrals (two of the two ids, of one incident or of two, and a third of one of them about
another), early or late; links and their undoing, with the cases joined and parted; referrals taken back, an erasure, a hold
on a case; permits, conversations, every answer, calls of the person's own, withdrawals from a case and from everything,
asking to take part after all, in everything or in one case, or because a no was entered in error; outcomes that are put
right or found out later; hand-overs, an agency's succession, a hub's pauses; whoever is responsible, one for all cases or
one for each.

Orders: each reader hears each key's events in turn, and any key before any other, at any time between two acts: all that
the topics allow. At the end everybody has heard everything.

Held (tests/support/promise.py): N7 after every act. N2 and N6 whenever a permit is redeemed: nobody is approached about a
referral after a no to it, said by either id while linked (or by whoever was linked when they were called), and under
whichever name of a case that was joined or parted. N6 at the end: what the hub has paused is paused. N9
at the end: each live referral has a case that is led, or somebody is asked, or a no ended it that still stands; both
services name the same lead, who is not refused for what has passed; and nothing is open, and nobody led, for nothing.

Left out: contact persons, coming of age, checks, notifications; teams and more agencies than three; what is delivered twice
or lost, which the simulation has to show (tests/simulation). `make explore` runs 10,000 histories and finds every planted
bug (mutants.py); `make test` runs fewer.
"""
