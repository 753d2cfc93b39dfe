"""What runs inside a Lambda worker process, on Lambda's own interpreter: standard library only."""
