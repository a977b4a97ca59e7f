"""Allocation: which agency leads for whom, who works on a case, and what must be answered before anybody is approached.

Owns: partnership policies; agencies, workers and their workload; checks; cases.
Consumes: `referrals` (what intake knows of a case) and `consent` (who may lead, who said no).
Publishes: `cases` (key case_id) and `agencies` (key agency_id).

It proposes; consent disposes. A claim is a request, and nobody outside is told of a case before consent has answered it.
"""
