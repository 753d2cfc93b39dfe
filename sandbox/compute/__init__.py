"""The compute of the sandbox: instances, their container engine, and the `docker` stand-in.

Nothing in this package imports boto3 or the emulator: the instance agent and the `docker` command are
started often and must stay light. What ties it to the AWS API is in `sandbox.emulator`.
"""
