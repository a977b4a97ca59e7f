"""Who does the work: facilitators and named workers, one case at a time or a whole list at once. Pure."""

from services.allocation.workforce.choose import CaseNeed, NamedWorker, Picked, assign_team, choose_named
from services.allocation.workforce.people import Facilitator, distance_km, travel_km

__all__ = [
    "CaseNeed",
    "Facilitator",
    "NamedWorker",
    "Picked",
    "assign_team",
    "choose_named",
    "distance_km",
    "travel_km",
]
