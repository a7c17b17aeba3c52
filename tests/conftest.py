from hypothesis import HealthCheck, settings

# A shared machine, a first call that compiles, and encryption take the time they take: no deadline per example.
settings.register_profile("toolkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("toolkit")
