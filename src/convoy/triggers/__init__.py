"""Changes that start a deployment: files, revisions, signed calls, Prefect's events.

Each kind is a look that says what the watched thing is now, as a fingerprint. Another fingerprint
than that of the last run is a change, whenever it came: also while nothing here was running.
"""
