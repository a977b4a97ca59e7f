"""Run the service: `python -m services.consent`, or a part of it with `--only`."""

from services.consent.service import build
from services.consent.settings import Settings
from shared.runtime.service import main

if __name__ == "__main__":
    main(build, Settings)
