"""AI models: listed by provider and status from the cache, created by users who have logged in."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from backend.faults import FaultKind
from backend.services import CurrentUser, ServicesDep, new_id, now

router = APIRouter(tags=["models"])

LIST_LIMIT = 100

Status = Literal["active", "inactive", "deprecated"]
Provider = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]


class NewModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    provider: Provider
    status: Status = "active"
    description: str = Field(default="", max_length=2000)


class Model(NewModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    # Seeded models carry no date.
    created_at: datetime | None = None


class ModelDetail(Model):
    completed_evaluations: int


class ModelList(BaseModel):
    models: list[Model]


_LIST = TypeAdapter(ModelList)


def cache_key(provider: str | None, status: str | None) -> str:
    return f"models:{provider or '*'}:{status or '*'}"


@router.get("/api/models", response_model=ModelList)
async def list_models(
    services: ServicesDep,
    provider: Annotated[Provider | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
) -> Response:
    """The newest 100 that fit the filters. The header `x-cache` tells where they came from.

    Newest by `_id`, which is indexed: a list without filters would else read the whole collection.
    """
    key = cache_key(provider, status)
    body = await services.cache.read(key)
    cached = body is not None
    if body is None:
        wanted = {name: value for name, value in (("provider", provider), ("status", status)) if value}
        cursor = services.database.models.find(wanted).sort("_id", -1).limit(LIST_LIMIT)
        found = [_model(document) async for document in cursor]
        body = _LIST.dump_json(ModelList(models=found))
        await services.cache.write(key, body)
    # As bytes: what is cached is not validated and rendered again for every request.
    return Response(body, media_type="application/json", headers={"x-cache": "hit" if cached else "miss"})


@router.post("/api/models", status_code=201)
async def create_model(body: NewModel, services: ServicesDep, _user: CurrentUser) -> Model:
    document = {"_id": new_id(), **body.model_dump(), "created_at": now()}
    await services.database.models.insert_one(document)
    await services.cache.forget(
        *(cache_key(provider, status) for provider in (body.provider, None) for status in (body.status, None))
    )
    return _model(document)


@router.get("/api/models/{model_id}")
async def read_model(model_id: str, services: ServicesDep) -> ModelDetail:
    if services.faults.plan.kind is FaultKind.BRITTLE:
        bytes.fromhex(model_id)
    document = await services.database.models.find_one({"_id": model_id})
    if document is None:
        raise HTTPException(404, "no such model")
    completed = await services.database.evaluations.count_documents(
        {"model_id": model_id, "status": "completed"}
    )
    return ModelDetail(**_model(document).model_dump(), completed_evaluations=completed)


def _model(document: dict[str, Any]) -> Model:
    return Model(id=str(document["_id"]), **{k: v for k, v in document.items() if k != "_id"})
