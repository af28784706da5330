"""What can go wrong between a WHIP or WHEP client and its server, one class per remedy.

Callers choose what to do by class and by `retryable`, never by an exact status: servers are free
to pick another code of the same hundred (RFC 9725 section 4.2).
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of all client errors.

    detail: one sentence for a person. status: HTTP status or None. retry_after_s: the server's
    wish, seconds, or None. retryable: True if trying again later may help by itself.
    """

    retryable = True

    def __init__(
        self, detail: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s


class UnreachableError(ClientError):
    """No HTTP answer: connection refused, name unknown, TLS failed, timed out."""


class UntrustedCertificateError(ClientError):
    """The server's certificate is not trusted here (self-made, expired, other name)."""

    retryable = False


class UnauthorizedError(ClientError):
    """401 or 403: the token is missing, wrong, expired or for something else."""

    retryable = False


class SessionGoneError(ClientError):
    """404 or 410: no such stream, or the session has ended."""


class NotNowError(ClientError):
    """409: for a publisher the stream is taken, for a viewer nothing is on air."""


class OverloadedError(ClientError):
    """429 or 503: come back after `retry_after_s`."""


class RejectedError(ClientError):
    """Any other 4xx: the server will not take this offer however often it is sent."""

    retryable = False


class ServerFailureError(ClientError):
    """Any other 5xx."""


class BadAnswerError(ClientError):
    """The answer breaks the protocol: no Location, not SDP, redirect in a circle."""

    retryable = False


class MediaTimeoutError(ClientError):
    """Signalling went well but ICE or DTLS did not come up in time (UDP blocked?)."""


def error_for_status(status: int, detail: str, retry_after_s: float | None = None) -> ClientError:
    """The error for an HTTP status of 300 or more."""
    kind: type[ClientError]
    if status in (401, 403):
        kind = UnauthorizedError
    elif status in (404, 410):
        kind = SessionGoneError
    elif status == 409:
        kind = NotNowError
    elif status in (429, 503):
        kind = OverloadedError
    elif status < 400:
        kind = BadAnswerError
    elif status < 500:
        kind = RejectedError
    else:
        kind = ServerFailureError
    return kind(detail, status=status, retry_after_s=retry_after_s)
