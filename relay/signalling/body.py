"""Request bodies: typed, limited in size and in time."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.signalling.problem import HttpProblem


def media_type(request: web.BaseRequest) -> str:
    """Content type in lower case without parameters, "" when missing."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def require_type(request: web.BaseRequest, expected: str) -> None:
    """415 unless the body is declared to be of this type."""
    if media_type(request) != expected:
        raise HttpProblem(415, f"The body must be {expected}.", {"Accept": expected})


async def read_text(request: web.BaseRequest, max_bytes: int, timeout_s: float) -> str:
    """The body as UTF-8. 413 over the limit (before reading, if it is declared), 408 if it
    dribbles, 400 if it is no UTF-8 or breaks off."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HttpProblem(415, "The body must not be compressed.")
    declared = request.content_length
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    try:
        data = await asyncio.wait_for(_read(request, max_bytes), timeout_s)
    except TimeoutError as error:
        raise HttpProblem(
            408, "The body did not arrive in time.", {"Connection": "close"}
        ) from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise HttpProblem(400, "The body broke off.") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise HttpProblem(400, "The body is not UTF-8 text.") from error


def _too_large(max_bytes: int) -> HttpProblem:
    return HttpProblem(
        413, f"The body may have {max_bytes} bytes at most.", {"Connection": "close"}
    )


async def _read(request: web.BaseRequest, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)
