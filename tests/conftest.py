"""What all tests share: how Hypothesis behaves."""

from hypothesis import settings

# No deadline: a loaded machine is no fault. The blob that reproduces a failure is printed with it.
settings.register_profile("firstseen", deadline=None, print_blob=True)
settings.load_profile("firstseen")
