"""Run it: `python -m services.notifications`, all in one process, or parts with `--only`."""

from services.notifications.service import build
from services.notifications.settings import Settings
from shared.runtime.service import main

if __name__ == "__main__":
    main(build, Settings)
