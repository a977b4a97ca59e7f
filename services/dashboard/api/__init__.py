"""Pages, one file for each subject."""

from services.dashboard.api import deliveries, live, measures, people, reviews, signing_in

routers = [signing_in.router, reviews.router, people.router, deliveries.router, measures.router, live.router]
