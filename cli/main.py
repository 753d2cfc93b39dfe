"""The `cutover` command: its groups and the one place where errors become messages."""
