"""What an address of the server answers."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit


def status_of(url: str, seconds: float) -> int | None:
    """Return the HTTP status that a GET of `url` has within `seconds`, `None` if there is no answer.

    Asked directly: a proxy that the environment names is not for this machine's own addresses.
    """
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=seconds)
    try:
        connection.request("GET", place.path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
