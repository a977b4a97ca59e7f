"""Run the service: `python -m services.dashboard`, or a part of it with `--only`."""

from services.dashboard.service import build
from services.dashboard.settings import Settings
from shared.runtime.service import main

if __name__ == "__main__":
    main(build, Settings)
