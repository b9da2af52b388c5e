"""What the service refuses, as its clients read it. `client.py` makes the same errors of it again.

RefusalError
├── BadRequestError   the request can't be carried out as it stands                              400
├── UnauthorizedError not the shared secret                                                      401
├── NotFoundError     no such session, file or call                                              404
├── BusyError         another call is under way in the session, or this id was for other code    409
├── LostError         that generation is over: variables and files are gone                      410
├── TooLargeError     more bytes than the limits allow                                           413
├── FullError         no room for one more session now                                           503
├── StartingError     the session is about to begin: whoever asks again gets it                   503
└── DrainingError     the service is about to end: nothing begins here any more                  503
"""

from http import HTTPStatus
from typing import ClassVar


class RefusalError(Exception):
    """Base of all refusals; `code` stands in the answer's body."""

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(RefusalError):
    """The request can't be carried out as it stands."""

    status, code = HTTPStatus.BAD_REQUEST, "bad_request"


class UnauthorizedError(RefusalError):
    """Not the shared secret."""

    status, code = HTTPStatus.UNAUTHORIZED, "unauthorized"


class NotFoundError(RefusalError):
    """No such session, file or call."""

    status, code = HTTPStatus.NOT_FOUND, "not_found"


class BusyError(RefusalError):
    """Another call is under way, or this call id was used for other code."""

    status, code = HTTPStatus.CONFLICT, "busy"


class LostError(RefusalError):
    """That generation is over: its variables and files are gone. The message is why."""

    status, code = HTTPStatus.GONE, "lost"


class TooLargeError(RefusalError):
    """More bytes than the limits allow."""

    status, code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"


class FullError(RefusalError):
    """No room for one more session now."""

    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "full"


class StartingError(RefusalError):
    """The session is about to begin: whoever asks again gets it."""

    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "starting"


class DrainingError(RefusalError):
    """The service is about to end: nothing begins here any more."""

    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "draining"


ALL: tuple[type[RefusalError], ...] = (
    BadRequestError,
    UnauthorizedError,
    NotFoundError,
    BusyError,
    LostError,
    TooLargeError,
    FullError,
    StartingError,
    DrainingError,
)
