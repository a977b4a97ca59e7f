"""Pages, one file for each subject."""

from services.dashboard.api import live, reviews, signing_in

routers = [signing_in.router, reviews.router, live.router]
