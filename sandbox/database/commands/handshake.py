"""hello, SCRAM and sessions: what a driver says before it asks for anything."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from sandbox.database.authentication import MECHANISMS, Conversation, Credential, authentication_failed
from sandbox.database.commands.registry import Context, command
from sandbox.database.errors import CommandError, Document, bad_value
from sandbox.database.instance import REPLICA_SET
from sandbox.database.values import MAX_DOCUMENT_BYTES, now

_SESSION_MINUTES = 30
# Set by the only member, once; it never changes.
_ELECTION_ID = ObjectId("7fffffff0000000000000001")


# Drivers say here what they can do; like MongoDB, hello passes over what it doesn't know.
@command("hello", "isMaster", "ismaster", without_login=True, any_field=True)
def hello(context: Context, body: Document) -> Document:
    """The primary of a replica set of one: https://www.mongodb.com/docs/manual/reference/command/hello/."""
    if body.get("loadBalanced"):
        raise CommandError(
            354, "The server is being accessed through a load balancer, but it is not configured for one"
        )
    client = body.get("client")
    if isinstance(client, dict) and isinstance(client.get("application"), dict):
        context.connection.application = str(client["application"].get("name", ""))
    address = context.instance.address
    legacy = next(iter(body)) != "hello"
    reply: Document = {
        "helloOk": True,
        "ismaster" if legacy else "isWritablePrimary": True,
        "topologyVersion": None,
        "setName": REPLICA_SET,
        "setVersion": 1,
        "secondary": False,
        "hosts": [address],
        "primary": address,
        "me": address,
        "electionId": _ELECTION_ID,
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
        "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000,
        "localTime": now(),
        "logicalSessionTimeoutMinutes": _SESSION_MINUTES,
        "connectionId": context.connection.id,
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "readOnly": False,
    }
    # Without it drivers ask again and again, rather than waiting for a change that never comes.
    del reply["topologyVersion"]
    if "saslSupportedMechs" in body:
        # The same for every name, so that it doesn't tell which users there are.
        reply["saslSupportedMechs"] = list(MECHANISMS)
    speculative = body.get("speculativeAuthenticate")
    if isinstance(speculative, dict) and "saslStart" in speculative:
        try:
            reply["speculativeAuthenticate"] = _start(
                context, speculative, str(speculative.get("db", "admin"))
            )
        except CommandError:
            context.connection.conversation = None  # the driver then asks in the ordinary way
    return reply


@command("saslStart", fields="mechanism payload options autoAuthorize", without_login=True)
def sasl_start(context: Context, body: Document) -> Document:
    return _start(context, body, context.database)


def _start(context: Context, body: Document, database: str) -> Document:
    mechanism = body.get("mechanism")
    if not isinstance(mechanism, str) or mechanism not in MECHANISMS:
        raise CommandError(334, f"Received authentication for mechanism {mechanism} which is not enabled")
    options = body.get("options")
    skip = isinstance(options, dict) and options.get("skipEmptyExchange") is True

    def credential(user: str) -> Credential | None:
        found = context.instance.users.get(f"{database}.{user}")
        return found.credentials.get(mechanism) if found else None

    conversation = Conversation(mechanism, skip)
    context.connection.conversation = conversation
    context.connection.conversation_database = database
    return conversation.start(_payload(body), credential)


@command("saslContinue", fields="conversationId payload", without_login=True)
def sasl_continue(context: Context, body: Document) -> Document:
    conversation = context.connection.conversation
    if conversation is None:
        raise CommandError(17, "No SASL session state found")
    try:
        reply = conversation.finish(_payload(body))
    except CommandError:
        context.connection.conversation = None
        raise
    if conversation.proven:
        database = context.connection.conversation_database
        context.connection.users[database] = f"{database}.{conversation.user}"
    if conversation.done:
        context.connection.conversation = None
    return reply


def _payload(body: Document) -> bytes:
    payload: Any = body.get("payload")
    if isinstance(payload, bytes):
        return bytes(payload)
    raise authentication_failed()


@command("logout", without_login=True)
def logout(context: Context, _: Document) -> Document:
    context.connection.users.pop(context.database, None)
    return {}


@command("connectionStatus", fields="showPrivileges", without_login=True)
def connection_status(context: Context, body: Document) -> Document:
    if body.get("showPrivileges"):
        raise CommandError(238, "showPrivileges is not implemented by the sandbox's embedded database")
    users = context.users
    return {
        "authInfo": {
            "authenticatedUsers": [{"user": user.name, "db": user.database} for user in users],
            "authenticatedUserRoles": [role for user in users for role in user.roles],
        }
    }


@command("ping", without_login=True)
def ping(_: Context, __: Document) -> Document:
    return {}


@command("startSession")
def start_session(_: Context, __: Document) -> Document:
    raise CommandError(238, "startSession is for clients without sessions of their own; send an lsid instead")


def _session_ids(value: Any) -> list[bytes]:
    if not isinstance(value, list):
        raise bad_value("the sessions must be an array of documents with an id")
    return [
        bytes(each["id"]) for each in value if isinstance(each, dict) and isinstance(each.get("id"), bytes)
    ]


@command("endSessions", without_login=True)
def end_sessions(context: Context, body: Document) -> Document:
    for session in _session_ids(body["endSessions"]):
        context.instance.end_session(session)
    return {}


@command("refreshSessions")
def refresh_sessions(_: Context, body: Document) -> Document:
    _session_ids(body["refreshSessions"])
    return {}
