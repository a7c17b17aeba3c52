from hypothesis import HealthCheck, settings

# A shared machine, a first call that compiles, and encryption take the time they take: no deadline per example.
# Whoever runs the suite tries the same examples as everybody else: `make test-random` draws others.
for profile, derandomize in {"toolkit": True, "random": False}.items():
    settings.register_profile(
        profile, deadline=None, derandomize=derandomize, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("toolkit")
