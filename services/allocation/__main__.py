"""Run the service: `python -m services.allocation`, or a part of it with `--only`."""

from services.allocation.service import build
from services.allocation.settings import Settings
from shared.runtime.service import main

if __name__ == "__main__":
    main(build, Settings)
