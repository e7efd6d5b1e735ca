"""The three roles, wired: `redirect` answers readers, `api` answers tooling, and `worker` counts.

Each is a process of its own, and imports nothing of the others.
"""
