"""What consent can be told from outside, beyond what the runtime needs."""

from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """Consent's settings.

    `deaf_seconds`: how long the broker may not have been heard before contact is refused, because a pause or a link may be
    on its way here.
    """

    deaf_seconds: float = 15.0
