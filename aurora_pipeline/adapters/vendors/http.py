"""One HTTP session for every vendor: paced, bounded in time, patient with faults that pass.

What is asked again: a connection that fails or is cut, also in the middle of a body, and the answers 429, 500, 502, 503 and
504. Between two tries lies what the vendor asks for (`Retry-After`), else a pause that doubles. urllib3's `Retry` counts and
waits; it sits above `requests` here, since the retry inside `requests` neither sees a body that is cut nor keeps to a vendor's
pace. A request that orders something is asked again only where it was certainly refused (429).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.util.retry import Retry

from aurora_pipeline.errors import VendorDownError, VendorError, VendorFormatError, VendorKeyError

TOO_MANY = 429
PASSING = frozenset({TOO_MANY, 500, 502, 503, 504})
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_TEXT_SHOWN = 200


@dataclass(frozen=True)
class Patience:
    """How long a vendor is waited for.

    Attributes
    ----------
    tries : int
        Times one request is made before the vendor counts as down.
    pause : float
        Seconds before the third try; doubles from there, the second follows at once.
    longest_pause : float
        Seconds beyond which neither a doubled pause nor a vendor's `Retry-After` goes.
    timeout : float
        Seconds without a byte after which a try has failed.
    """

    tries: int = 7
    pause: float = 0.5
    longest_pause: float = 120.0
    timeout: float = 30.0


DOWNLOAD = Patience()
TRADING = Patience(tries=3, pause=0.2, longest_pause=2.0, timeout=5.0)
"""Inside a session a bar is over after five minutes: a vendor that is silent is told of, and asked at the next look."""


class Pace:
    """At most so many requests in any stretch of so many seconds, over all threads that share it.

    Parameters
    ----------
    requests : int
    seconds : float
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self._window = seconds
        self._made: deque[float] = deque(maxlen=requests)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return once a request may be made."""
        with self._lock:
            if len(self._made) == self._made.maxlen:
                pause = self._made[0] + self._window - time.monotonic()
                if pause > 0.0:
                    time.sleep(pause)
            self._made.append(time.monotonic())


class PatientAdapter(HTTPAdapter):
    """Transport of `requests` that keeps to a pace and tries again what may pass.

    Parameters
    ----------
    patience : Patience
    pace : Pace
    posts_ask : bool
        Whether a POST only asks, as a query does, and may be made again after an unknown end.
    """

    def __init__(self, patience: Patience, pace: Pace, *, posts_ask: bool) -> None:
        super().__init__()
        self.patience, self.pace, self.posts_ask = patience, pace, posts_ask

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send a request until it is answered.

        Raises
        ------
        VendorDownError
            It was not, as often as patience allows; of an order that cannot be made twice, after one unknown end.
        """
        retry = Retry(
            total=self.patience.tries - 1,
            backoff_factor=self.patience.pause,
            backoff_max=self.patience.longest_pause,
            retry_after_max=int(self.patience.longest_pause),
        )
        limit = timeout or self.patience.timeout
        again = request.method != "POST" or self.posts_ask
        while True:
            self.pace.wait()
            response, found = None, ""
            try:
                response = super().send(request, False, limit, verify, cert, proxies)
                _ = response.content  # the body is read here, so that one that is cut counts as a failed try
                found = f"answer {response.status_code}"
            except _BROKEN as error:
                response, found = None, _reason(error)
            if response is not None and response.status_code not in PASSING:
                return response
            refused = response is not None and response.status_code == TOO_MANY
            if not (again or refused):
                raise VendorDownError(f"{_address(request)}: {found}; whether it was carried out is unknown")
            try:
                retry = retry.increment(request.method, "", response=response.raw if response is not None else None)
            except MaxRetryError:
                raise VendorDownError(
                    f"{_address(request)}: {found}, after {self.patience.tries} tries; "
                    "nothing was lost: what was done before is kept, so run the same again later"
                ) from None
            _pause(retry, response)


def patient_session(
    patience: Patience, pace: Pace, headers: Mapping[str, str] | None = None, *, posts_ask: bool = False
) -> requests.Session:
    """Return a session whose requests are paced and tried again; parameters as of :class:`PatientAdapter`."""
    session = requests.Session()
    session.headers.update(dict(headers or {}))
    adapter = PatientAdapter(patience, pace, posts_ask=posts_ask)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def json_of(response: requests.Response, vendor: str) -> object:
    """Return the JSON of a good answer.

    Raises
    ------
    VendorKeyError
        401 or 403.
    VendorError
        Any other answer but a good one.
    VendorFormatError
        The body is not JSON.
    """
    require_good(response.status_code, response.text, vendor, _address(response.request))
    try:
        return response.json()
    except requests.exceptions.JSONDecodeError as error:
        raise VendorFormatError(
            f"{vendor}: {_address(response.request)} answered with something that is not JSON: {_shown(response.text)}"
        ) from error


def require_good(status: int, text: str, vendor: str, address: str) -> None:
    """Raise a named error for any answer but a good one; parameters as found in the answer, `address` what was asked."""
    if status in {401, 403}:
        raise VendorKeyError(
            f"{vendor}: {address} was refused ({status}): {_shown(text)}. The keys are wrong, expired, or do not allow this; "
            "look at the vendor's console and at docs/feeds.md"
        )
    if status >= 300:
        raise VendorError(f"{vendor}: {address} answered {status}: {_shown(text)}")


def _pause(retry: Retry, response: requests.Response | None) -> None:
    """Wait as long as the vendor asks for, else as long as the tries so far call for."""
    try:
        retry.sleep(response.raw if response is not None else None)
    except InvalidHeader:
        time.sleep(retry.get_backoff_time())


def _address(request: requests.PreparedRequest) -> str:
    parts = urlsplit(request.url or "")
    return f"{request.method} {parts.hostname}{parts.path}"


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "the connection was cut" if "IncompleteRead" in str(error) else "the connection failed"


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_SHOWN else line[:_TEXT_SHOWN] + " ..."
