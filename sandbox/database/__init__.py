"""The sandbox's embedded MongoDB server: in memory, strict, over MongoDB's own protocol.

What it can and can't do: docs/embedded-database.md. `launch.database_command` starts it, or a real `mongod`
when there is one on PATH.
"""
