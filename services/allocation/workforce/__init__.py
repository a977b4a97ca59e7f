"""Who does the work: facilitators and named workers, one case at a time or a whole list at once. Pure.

`workforce.solve` is imported by itself, so that nobody loads the solver who does not hold a meeting.
"""

from services.allocation.workforce.choose import NamedWorker, Picked, assign_team, choose_named
from services.allocation.workforce.needs import CaseNeed
from services.allocation.workforce.people import Facilitator, distance_km, travel_km
from services.allocation.workforce.plan import Plan, in_order
from services.allocation.workforce.roster import Roster

__all__ = [
    "CaseNeed",
    "Facilitator",
    "NamedWorker",
    "Picked",
    "Plan",
    "Roster",
    "assign_team",
    "choose_named",
    "distance_km",
    "in_order",
    "travel_km",
]
