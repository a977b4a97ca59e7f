"""The rules of allocation: pure functions of a state and what is being asked. No I/O, clock, randomness or logging.

`state` says what is remembered of a case, `evolve` how it changes, `facts` how several referrals make one picture, `route`
who is asked to lead and when a case may go ahead, `cases` what people and events do to a case, `agencies` the agencies.
"""
