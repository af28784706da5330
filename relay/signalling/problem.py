"""Errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web


class HttpProblem(Exception):
    """An answer that is not a success. headers: extra ones, such as Retry-After."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def problem_response(problem: HttpProblem) -> web.Response:
    """The response for a problem."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    response = web.Response(
        status=problem.status,
        text=json.dumps(body, ensure_ascii=False),
        content_type="application/problem+json",
        headers=problem.headers,
    )
    if problem.headers.get("Connection") == "close":
        response.force_close()
    return response
