from hypothesis import settings

# A shared machine, and a first call that compiles, say nothing about correctness: no deadline per example.
settings.register_profile("intnn", deadline=None)
settings.load_profile("intnn")
