"""The HTTP half that WHIP and WHEP clients share: one POSTed session and its resource.

The token goes only to the origin that it was given for: a 307 to another origin carries its own
ticket in the Location (a browser drops Authorization there too).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time

import aiohttp
from yarl import URL

from relay.client.errors import (
    BadAnswerError,
    ClientError,
    UnreachableError,
    UntrustedCertificateError,
    error_for_status,
)
from relay.client.link_header import Link, parse_links

MAX_REDIRECTS = 5
MAX_BODY_BYTES = 256 * 1024
DEFAULT_TIMEOUT_S = 8.0
SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"


@dataclass(frozen=True)
class Response:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    links: tuple[Link, ...]
    body: str
    url: URL


def retry_after_s(value: str | None, now_epoch_s: float) -> float | None:
    """Seconds of a Retry-After header (number or date, RFC 9110 section 10.2.3) or None."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now_epoch_s
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _sentence(response: Response) -> str:
    """What the server says about its refusal, short enough for a status line."""
    text = response.body.strip()
    if text.startswith("{"):
        # application/problem+json (RFC 9457): the detail is the sentence.
        try:
            problem = json.loads(text)
        except ValueError:
            problem = {}
        if isinstance(problem, dict):
            text = str(problem.get("detail") or problem.get("title") or "")
    reason = HTTPStatus(response.status).phrase if response.status in set(HTTPStatus) else ""
    return text[:300] if text and "<" not in text else f"{response.status} {reason}".strip()


class HttpSession:
    """One signalling session: POST once, then PATCH and DELETE its resource.

    session_url, etag, links and response_headers are set by `post_offer`. headers: sent with the
    POST. All methods raise ClientError subclasses.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = http
        self._post_headers = dict(headers or {})
        self._endpoint = URL(url)
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.session_url: URL | None = None
        self.etag: str | None = None
        self.links: tuple[Link, ...] = ()
        self.response_headers: Mapping[str, str] = {}

    async def post_offer(self, sdp: str) -> str:
        """POST the offer, following 307 and 308; the answer SDP."""
        url = self._endpoint
        headers = {**self._post_headers, "Content-Type": SDP_TYPE, "Accept": SDP_TYPE}
        for _ in range(MAX_REDIRECTS + 1):
            response = await self.request("POST", url, headers=headers, body=sdp)
            if response.status not in (307, 308):
                return self._created(response)
            location = response.headers.get("Location")
            if not location:
                raise BadAnswerError("the server redirects without saying where", status=307)
            url = response.url.join(URL(location))
        raise BadAnswerError("the server redirects in a circle", status=307)

    async def restart_ice(self, fragment: str) -> str:
        """PATCH new ICE credentials (RFC 9725 section 4.3.3); the server's fragment.

        Follows the new ETag. An error leaves the session as it was.
        """
        headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": '"*"'}
        response = await self.request("PATCH", self._resource(), headers=headers, body=fragment)
        if response.status != 200:
            raise self._error(response)
        self.etag = response.headers.get("ETag", self.etag)
        return response.body

    async def trickle(self, fragment: str) -> None:
        """PATCH more candidates of the current ICE session."""
        headers = {"Content-Type": FRAGMENT_TYPE}
        if self.etag is not None:
            headers["If-Match"] = self.etag
        response = await self.request("PATCH", self._resource(), headers=headers, body=fragment)
        if response.status not in (200, 204):
            raise self._error(response)

    async def delete(self) -> None:
        """End the session; a session that is already gone is no error."""
        if self.session_url is None:
            return
        url, self.session_url = self.session_url, None
        response = await self.request("DELETE", url)
        if response.status >= 300 and response.status not in (404, 410):
            raise self._error(response)

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Response:
        """One request without redirects, the token only to its own origin.

        Raises UnreachableError or UntrustedCertificateError; any HTTP answer is returned.
        """
        try:
            async with self._http.request(
                method,
                url,
                headers=self.authorized(url, headers),
                data=None if body is None else body.encode(),
                allow_redirects=False,
                timeout=self._timeout,
            ) as answer:
                raw = await _read_body(answer)
                return Response(
                    answer.status,
                    answer.headers,
                    parse_links(answer.headers.getall("Link", [])),
                    raw.decode("utf-8", "replace"),
                    url,
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise translate(error, url) from error

    def authorized(self, url: URL, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """`headers` plus the bearer token if `url` is of the endpoint's origin."""
        result = dict(headers or {})
        if self._token and url.origin() == self._endpoint.origin():
            result["Authorization"] = f"Bearer {self._token}"
        return result

    def _resource(self) -> URL:
        if self.session_url is None:
            raise BadAnswerError("the session is not open")
        return self.session_url

    def _created(self, response: Response) -> str:
        if response.status != 201:
            raise self._error(response)
        location = response.headers.get("Location")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not location or kind != SDP_TYPE:
            raise BadAnswerError("the server's 201 has no Location or no SDP", status=201)
        self.session_url = response.url.join(URL(location))
        self.etag = response.headers.get("ETag")
        self.links = response.links
        self.response_headers = response.headers
        return response.body

    def _error(self, response: Response) -> ClientError:
        wait = retry_after_s(response.headers.get("Retry-After"), time())
        return error_for_status(response.status, _sentence(response), wait)


async def _read_body(answer: aiohttp.ClientResponse) -> bytes:
    """The body, at most MAX_BODY_BYTES. Raises ValueError if there is more."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(16 * 1024):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("the answer is too long")
    return bytes(body)


def translate(error: Exception, url: URL) -> ClientError:
    """aiohttp's and the system's errors as ours, without the query (it may hold a ticket)."""
    where = url.origin() if url.is_absolute() else url
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UntrustedCertificateError(f"the certificate of {where} is not trusted here")
    if isinstance(error, TimeoutError):
        return UnreachableError(f"{where} does not answer in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        code = error.os_error.errno
        reason = os.strerror(code).lower() if code else str(error.os_error)
    else:
        reason = str(error) or type(error).__name__
    return UnreachableError(f"{where} cannot be reached: {reason}")
