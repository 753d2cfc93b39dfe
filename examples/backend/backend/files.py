"""Files: the content in S3, the record in MongoDB. Only the owner ever sees either."""

import hashlib
from datetime import datetime
from typing import IO, Annotated, Any, Literal
from urllib.parse import quote

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Query, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import iterate_in_threadpool

from backend.faults import FaultKind, spoilt
from backend.services import CurrentUser, ServicesDep, new_id, now

router = APIRouter(tags=["files"])

# With room for the multipart form around a file of 10 MiB.
MAX_BODY_BYTES = 10 * 1024 * 1024 + 64 * 1024

UploadStatus = Literal["pending", "stored", "failed"]


class FileRecord(BaseModel):
    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    upload_status: UploadStatus
    created_at: datetime


class FileList(BaseModel):
    files: list[FileRecord]


@router.post("/api/files/upload", status_code=201)
async def upload(file: UploadFile, services: ServicesDep, user: CurrentUser) -> FileRecord:
    """Recorded as pending first: a content without a record could never be found again."""
    size, digest = await to_thread.run_sync(_measure, file.file)
    file_id = new_id()
    document: dict[str, Any] = {
        "_id": file_id,
        "user_id": user.id,
        "key": f"{user.id}/{file_id}",
        "name": (file.filename or "file")[:255],
        "content_type": file.content_type or "application/octet-stream",
        "size": size,
        "sha256": digest,
        "upload_status": "pending",
        "created_at": now(),
    }
    files = services.database.files
    await files.insert_one(document)
    try:
        await services.storage.put(document["key"], file.file, document["content_type"])
    except Exception:
        await files.update_one({"_id": file_id}, {"$set": {"upload_status": "failed"}})
        raise
    await files.update_one({"_id": file_id}, {"$set": {"upload_status": "stored"}})
    return _record(document | {"upload_status": "stored"})


@router.get("/api/files")
async def list_files(
    services: ServicesDep,
    user: CurrentUser,
    upload_status: Annotated[UploadStatus, Query()] = "stored",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> FileList:
    cursor = services.database.files.find({"user_id": user.id, "upload_status": upload_status}).limit(limit)
    return FileList(files=[_record(document) async for document in cursor])


@router.get("/api/files/{file_id}", response_class=StreamingResponse)
async def download(file_id: str, services: ServicesDep, user: CurrentUser) -> StreamingResponse:
    """404 for another user's file too: 403 would say that it exists."""
    document = await services.database.files.find_one({"_id": file_id})
    mine = document is not None and (
        document["user_id"] == user.id or services.faults.plan.kind is FaultKind.IDOR
    )
    if document is None or not mine or document["upload_status"] != "stored":
        raise HTTPException(404, "no such file")
    try:
        chunks = await services.storage.open(document["key"])
    except KeyError:
        raise HTTPException(404, "the file's content is gone") from None
    if services.faults.plan.kind is FaultKind.SPOIL:
        chunks = spoilt(chunks)
    headers = {
        "content-length": str(document["size"]),
        # Never shown inside the API's own origin, whatever type the uploader claimed.
        "content-disposition": f"attachment; filename*=UTF-8''{quote(document['name'], safe='')}",
    }
    return StreamingResponse(
        iterate_in_threadpool(chunks), media_type=document["content_type"], headers=headers
    )


def _measure(content: IO[bytes]) -> tuple[int, str]:
    digest = hashlib.file_digest(content, "sha256")  # type: ignore[arg-type]
    size = content.tell()
    content.seek(0)
    return size, digest.hexdigest()


def _record(document: dict[str, Any]) -> FileRecord:
    return FileRecord(
        id=str(document["_id"]), **{k: v for k, v in document.items() if k in FileRecord.model_fields}
    )
