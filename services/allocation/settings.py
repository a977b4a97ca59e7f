"""What allocation can be told from outside, beyond what the runtime needs: nothing yet that is not in a policy."""

from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """Allocation's settings. How cases travel is not a setting: it is in `policies/`."""
