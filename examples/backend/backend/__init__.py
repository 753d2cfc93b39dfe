"""The staging backend of the deployment plan: models, evaluations, files and accounts over HTTP.

Nothing is imported here, so that `python -m backend.healthcheck` starts in a few milliseconds.
"""
