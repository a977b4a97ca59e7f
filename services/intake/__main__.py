"""Run intake: `python -m services.intake [--only api|consumer|relay]`."""

from services.intake.service import build
from services.intake.settings import Settings
from shared.runtime.service import main

if __name__ == "__main__":
    main(build, Settings)
