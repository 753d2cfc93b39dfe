"""The demo: the whole product on this machine, told as it happens."""
