"""What holds for every tier."""

from hypothesis import settings

# How long one example takes says more of the machine than of the code; a test's own time limit is pytest's.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
