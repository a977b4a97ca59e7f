"""Every test can ask for the real database and broker: see tests/support/stack.py."""

pytest_plugins = ["tests.support.stack"]
