"""What can go wrong with the model, sorted into what is worth another try and what is not."""

import math
from datetime import timedelta
from typing import Literal

import structlog
from httpx2 import ConnectTimeout
from openai import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError

from shared import tls
from worker.models.text import sentence

log = structlog.get_logger(__name__)

ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
"""OpenAI's set for `last_error.code`."""

AGAIN = "What it had said is kept; the run can be created again."

TOO_LONG = "context_length_exceeded"
LONGEST_HEADER_S = 86_400.0
LONGEST_WAIT = timedelta(seconds=60)  # a Retry-After beyond it is not waited for


class ModelError(Exception):
    """The model gave no answer. `code` and `message` become the run's `last_error`."""

    def __init__(
        self, code: ErrorCode, message: str, *, retryable: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.error_type = code  # in spans
        self.retryable = retryable
        self.retry_after = retry_after


def from_openai(error: Exception) -> ModelError:
    """Sort an error of the `openai` client or of the transport below it."""
    if (problem := tls.why(error)) is not None:
        hint = "ASSISTANTD_MODEL_BASE_URL, ASSISTANTD_CA_FILE."
        return ModelError("server_error", f"The model endpoint can't be trusted: {problem}. {hint}")
    match error:
        case APIStatusError():
            return _refusal(error)
        case APITimeoutError() | TimeoutError() if not isinstance(error.__cause__, ConnectTimeout):
            message = "The model endpoint did not answer in time; a slow one needs a longer ASSISTANTD_MODEL_TIMEOUT."
            return ModelError("server_error", message, retryable=True)
        case APIConnectionError():  # the transport calls a refused connection a timeout as well
            message = (
                "The model endpoint could not be reached: is ASSISTANTD_MODEL_BASE_URL right, and the endpoint up?"
            )
            return ModelError("server_error", message, retryable=True)
        case APIResponseValidationError():
            return ModelError("server_error", "The model endpoint's answer could not be understood.")
        case _:
            return cut_off(error)


def cut_off(error: Exception) -> ModelError:
    """The connection broke while the answer was on its way."""
    cause = type(error).__name__
    return ModelError("server_error", f"The model's answer was cut off ({cause}). {AGAIN}", retryable=True)


def reported(problem: object) -> ModelError:
    """The endpoint reported an error in the middle of a stream."""
    said = problem.get("message") if isinstance(problem, dict) else problem  # pyright: ignore[reportUnknownMemberType]
    return ModelError("server_error", f"The model endpoint reported an error: {sentence(said)}", retryable=True)


def _refusal(error: APIStatusError) -> ModelError:
    said = _said(error)
    match error.status_code:
        case 401 | 403:  # its sentence may quote the key, and is for the server's owner alone
            log.error("model.refused_key", status=error.status_code, code=error.code)
            message = (
                f"The model endpoint refused the server's key (status {error.status_code}): ASSISTANTD_MODEL_API_KEY."
            )
            return ModelError("server_error", message)
        case 404:
            hint = "GET /v1/models lists those that it knows; ASSISTANTD_MODEL_ALIASES maps names."
            message = f"The model endpoint doesn't know the model or path (status 404): {said} {hint}"
            return ModelError("server_error", message)
        case 429 if error.code == "insufficient_quota":
            return ModelError("rate_limit_exceeded", f"The model endpoint's quota is used up: {said}")
        case 429:
            return _again_later(error, "rate_limit_exceeded", f"The model endpoint's rate limit was reached: {said}")
        case 408 | 409:
            return ModelError(
                "server_error", f"The model endpoint answered {error.status_code}: {said}", retryable=True
            )
        case status if status >= 500:  # noqa: PLR2004
            return _again_later(error, "server_error", f"The model endpoint failed with status {status}: {said}")
        case status:
            hint = " ASSISTANTD_CONTEXT_TOKENS says how much it may be sent." if error.code == TOO_LONG else ""
            message = f"The model endpoint refused the request (status {status}): {said}{hint}"
            return ModelError("invalid_prompt", message)


def _again_later(error: APIStatusError, code: ErrorCode, message: str) -> ModelError:
    """Worth another try, unless the endpoint asks for more patience than a run has."""
    wait = _retry_after(error)
    if wait is None or wait <= LONGEST_WAIT:
        return ModelError(code, message, retryable=True, retry_after=wait)
    return ModelError(code, f"{message} It asks to wait for {wait.total_seconds():.0f} seconds.")


def _said(error: APIStatusError) -> str:
    """The endpoint's own sentence, without the client's wrapping."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):  # pyright: ignore[reportUnknownMemberType]
        return sentence(body["message"])
    return sentence(error.message)


def _retry_after(error: APIStatusError) -> timedelta | None:
    """Seconds or milliseconds by header; dates are not read."""
    headers = error.response.headers
    for header, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if header in headers:
            try:
                seconds = float(headers[header]) * unit_s
            except ValueError:
                continue
            if math.isfinite(seconds):
                return timedelta(seconds=min(max(seconds, 0.0), LONGEST_HEADER_S))
    return None
