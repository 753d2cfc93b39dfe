"""Evaluations of models: each user sees their own, newest first."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from backend.services import CurrentUser, ServicesDep, new_id, now

router = APIRouter(tags=["evaluations"])

EvaluationStatus = Literal["pending", "running", "completed", "failed"]


class NewEvaluation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model_id: str = Field(min_length=1, max_length=64)
    status: EvaluationStatus = "pending"
    score: float | None = Field(default=None, ge=0, le=1)
    notes: str = Field(default="", max_length=2000)


class Evaluation(NewEvaluation):
    model_config = ConfigDict(extra="ignore")

    id: str
    created_at: datetime


class EvaluationList(BaseModel):
    evaluations: list[Evaluation]


@router.get("/api/evaluations")
async def list_evaluations(
    services: ServicesDep,
    user: CurrentUser,
    model_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> EvaluationList:
    wanted = {"user_id": user.id} | ({"model_id": model_id} if model_id else {})
    cursor = services.database.evaluations.find(wanted).sort("created_at", -1).limit(limit)
    return EvaluationList(evaluations=[_evaluation(document) async for document in cursor])


@router.post("/api/evaluations", status_code=201)
async def create_evaluation(body: NewEvaluation, services: ServicesDep, user: CurrentUser) -> Evaluation:
    if await services.database.models.find_one({"_id": body.model_id}, {"_id": 1}) is None:
        raise HTTPException(422, f"model_id {body.model_id!r}: no such model")
    document = {"_id": new_id(), "user_id": user.id, **body.model_dump(), "created_at": now()}
    await services.database.evaluations.insert_one(document)
    return _evaluation(document)


def _evaluation(document: dict[str, Any]) -> Evaluation:
    return Evaluation(id=str(document["_id"]), **{k: v for k, v in document.items() if k != "_id"})
