"""What no handler answered: unknown paths, wrong methods, and our own faults, as problems."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from hub.api.respond import SECURITY_HEADERS
from relay.signalling.problem import HttpProblem, problem_response

log = logging.getLogger(__name__)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answers that aiohttp would give as text, as problem+json (RFC 9457)."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        problem = HttpProblem(error.status, f"{request.method} {request.path}: {error.reason}.")
        response = problem_response(problem)
        response.headers.update(allow)
    except ConnectionError:
        raise
    except Exception:
        log.exception("request failed", extra={"method": request.method, "path": request.path})
        response = problem_response(HttpProblem(500, "The hub failed; its log says why."))
    response.headers.update(SECURITY_HEADERS)
    return response
