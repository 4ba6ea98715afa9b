"""Settings of the tests themselves."""

from hypothesis import settings

# Timing never decides a test: a loaded machine is no counterexample.
settings.register_profile("aurora", deadline=None)
settings.load_profile("aurora")
