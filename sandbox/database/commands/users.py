"""Users: createUser, updateUser, dropUser, usersInfo, grantRolesToUser, revokeRolesFromUser.

Passwords are neither kept nor shown.
https://www.mongodb.com/docs/manual/reference/command/nav-user-management/
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.database.authentication import MECHANISMS, make_credentials
from sandbox.database.authorization import User, parse_roles
from sandbox.database.commands.registry import Context, boolean, command, refuse
from sandbox.database.errors import CommandError, Document, bad_value, not_implemented, type_mismatch
from sandbox.database.instance import Instance

_FIELDS = "pwd roles customData mechanisms digestPassword authenticationRestrictions"


def add_user(instance: Instance, name: str, database: str, password: str, roles: list[Document]) -> User:
    """Add a user with both mechanisms; raises Location51003 if there is one of this name."""
    if f"{database}.{name}" in instance.users:
        raise CommandError(51003, f'User "{name}@{database}" already exists')
    user = User(name, database, make_credentials(name, password, list(MECHANISMS)), roles)
    instance.set_users(user)
    return user


def _name(body: Document) -> str:
    name = body[next(iter(body))]
    if not isinstance(name, str) or not name:
        raise bad_value("User document needs 'user' field to be non-empty")
    return name


def _password(body: Document) -> str:
    refuse(body, "authenticationRestrictions")
    if not boolean(body, "digestPassword", True):
        raise not_implemented("digestPassword: false")
    if not isinstance(body["pwd"], str) or not body["pwd"]:
        # Never say what it was.
        raise bad_value("User passwords must be a string and must not be empty")
    return str(body["pwd"])


def _mechanisms(body: Document) -> list[str]:
    wanted = body.get("mechanisms", list(MECHANISMS))
    if not isinstance(wanted, list) or not wanted:
        raise bad_value("mechanisms field must be a non-empty array")
    for name in wanted:
        if name not in MECHANISMS:
            raise bad_value(f"Unknown auth mechanism '{name}'")
    return wanted


@command("createUser", fields=_FIELDS, required="pwd roles", action="createUser", write=True)
def create_user(context: Context, body: Document) -> Document:
    name, password, mechanisms = _name(body), _password(body), _mechanisms(body)
    roles = parse_roles(body["roles"], context.database)
    identifier = f"{context.database}.{name}"
    if identifier in context.instance.users:
        raise CommandError(51003, f'User "{name}@{context.database}" already exists')
    context.instance.set_users(
        User(
            name,
            context.database,
            make_credentials(name, password, mechanisms),
            roles,
            body.get("customData"),
        )
    )
    return {}


def _existing(context: Context, name: str, message: str) -> User:
    user = context.instance.users.get(f"{context.database}.{name}")
    if user is None:
        raise CommandError(11, message)
    return user


@command("updateUser", fields=_FIELDS, write=True)
def update_user(context: Context, body: Document) -> Document:
    """A new password counts for the next login; new roles for the next command."""
    name = _name(body)
    if not set(body) & set(_FIELDS.split()):
        raise bad_value("Must specify at least one field to update in updateUser")
    if "pwd" in body:
        context.require("changePassword", body | {"pwd": "xxx"}, context.database)
    if set(body) & {"roles", "mechanisms", "customData"}:
        context.require("grantRole", body | {"pwd": "xxx"}, context.database)
    user = _existing(context, name, f'Could not find user "{name}" for db "{context.database}"')
    roles = parse_roles(body["roles"], context.database) if "roles" in body else user.roles
    credentials = user.credentials
    if "pwd" in body:
        credentials = make_credentials(name, _password(body), _mechanisms(body))
    elif "mechanisms" in body:
        kept = _mechanisms(body)
        if not set(kept) <= set(credentials):
            raise bad_value("mechanisms field must be a subset of previously set mechanisms")
        credentials = {name: credentials[name] for name in kept}
    custom_data = body.get("customData", user.custom_data)
    context.instance.set_users(replace(user, credentials=credentials, roles=roles, custom_data=custom_data))
    return {}


@command("dropUser", action="dropUser", write=True)
def drop_user(context: Context, body: Document) -> Document:
    name = _name(body)
    user = _existing(context, name, f"User '{name}@{context.database}' not found")
    context.instance.remove_user(user.identifier)
    return {}


@command("dropAllUsersFromDatabase", action="dropUser", write=True)
def drop_users(context: Context, body: Document) -> Document:  # noqa: ARG001 - every handler's signature
    dropped = [each for each in context.instance.users.values() if each.database == context.database]
    for user in dropped:
        context.instance.remove_user(user.identifier)
    return {"n": len(dropped)}


@command("grantRolesToUser", required="roles", action="grantRole", write=True)
def grant_roles(context: Context, body: Document) -> Document:
    name = _name(body)
    user = _existing(context, name, f'Could not find user "{name}" for db "{context.database}"')
    granted = parse_roles(body["roles"], context.database)
    roles = user.roles + [role for role in granted if role not in user.roles]
    context.instance.set_users(replace(user, roles=roles))
    return {}


@command("revokeRolesFromUser", required="roles", action="revokeRole", write=True)
def revoke_roles(context: Context, body: Document) -> Document:
    name = _name(body)
    user = _existing(context, name, f'Could not find user "{name}" for db "{context.database}"')
    revoked = parse_roles(body["roles"], context.database)
    context.instance.set_users(replace(user, roles=[role for role in user.roles if role not in revoked]))
    return {}


@command(
    "usersInfo", fields="showCredentials showPrivileges showCustomData showAuthenticationRestrictions filter"
)
def users_info(context: Context, body: Document) -> Document:
    refuse(body, "showCredentials", "showPrivileges", "showAuthenticationRestrictions", "filter")
    wanted = body["usersInfo"]
    users = context.instance.users
    if wanted == {"forAllDBs": True}:
        context.require("viewUser", body, "admin")
        return {"users": [user.document() for user in users.values()]}
    if wanted == 1 and not isinstance(wanted, bool):
        context.require("viewUser", body, context.database)
        return {"users": [u.document() for u in users.values() if u.database == context.database]}
    identifiers = [
        _identifier(each, context.database) for each in (wanted if isinstance(wanted, list) else [wanted])
    ]
    if identifiers != [user.identifier for user in context.users]:  # everyone may look at themselves
        for identifier in identifiers:
            context.require("viewUser", body, identifier.split(".", 1)[0])
    return {"users": [users[i].document() for i in identifiers if i in users]}


def _identifier(wanted: Any, database: str) -> str:
    if isinstance(wanted, str):
        return f"{database}.{wanted}"
    if isinstance(wanted, dict) and set(wanted) == {"user", "db"}:
        return f"{wanted['db']}.{wanted['user']}"
    raise type_mismatch("UserName must contain a string name or a document with 'user' and 'db'")
