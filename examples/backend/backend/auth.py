"""Accounts: registering, and logging in for a token."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pymongo.errors import DuplicateKeyError

from backend.passwords import NOBODY, hash_password, verify_password
from backend.services import ServicesDep, new_id, now
from backend.tokens import TOKEN_SECONDS, User

router = APIRouter(tags=["accounts"])

# One hash at a time: each takes 16 MiB and a core, and the requests of others should not feel it.
_hashing = asyncio.Semaphore(1)

Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$"
    ),
]


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email
    password: str = Field(min_length=1, max_length=256)


class Registration(Credentials):
    password: str = Field(min_length=12, max_length=256)
    name: str = Field(default="", max_length=100)


class Account(BaseModel):
    id: str
    email: str
    name: str


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the type's name
    expires_in: int = TOKEN_SECONDS


@router.post("/api/auth/register", status_code=201)
async def register(body: Registration, services: ServicesDep) -> Account:
    users = services.database.users
    taken = HTTPException(409, "this e-mail address is registered already")
    if await users.find_one({"email": body.email}, {"_id": 1}):
        raise taken
    async with _hashing:
        password_hash = await asyncio.to_thread(hash_password, body.password)
    user: dict[str, Any] = {
        "_id": new_id(),
        "email": body.email,
        "name": body.name,
        "role": "user",
        "password_hash": password_hash,
        "created_at": now(),
    }
    try:
        await users.insert_one(user)
    except DuplicateKeyError:
        raise taken from None
    return Account(id=user["_id"], email=body.email, name=body.name)


@router.post("/api/auth/login")
async def login(body: Credentials, services: ServicesDep) -> Token:
    user = await services.database.users.find_one({"email": body.email})
    async with _hashing:
        fits = await asyncio.to_thread(
            verify_password, body.password, user.get("password_hash") if user else NOBODY
        )
    if user is None or not fits:
        raise HTTPException(401, "wrong e-mail address or password", {"WWW-Authenticate": "Bearer"})
    return Token(access_token=services.tokens.issue(User(str(user["_id"]), user.get("role", "user"))))
