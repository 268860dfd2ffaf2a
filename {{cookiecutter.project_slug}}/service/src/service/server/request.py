"""A request that has arrived whole."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.server.connection import Connection


@dataclass(slots=True)
class Request:
    """A request, as it was sent.

    Attributes:
        connection: on which it came, and its answer goes.
        arrival: when it was complete, in seconds of `time.monotonic`.
        method, target, headers, body: what was sent; the names of headers in lower case.
        minor: of the protocol HTTP/1.
        keep: whether the caller will send more on this connection.
        has_body: whether its head announced a body, which may be empty.
    """

    connection: "Connection"
    arrival: float
    method: bytes
    target: bytes
    minor: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep: bool
    has_body: bool

    @property
    def here(self) -> tuple[str, int]:
        """The address at which it arrived."""
        return self.connection.front.address

    @property
    def there(self) -> str:
        """The address that it came from."""
        return self.connection.peer

    def closes(self) -> bool:
        """Whether the connection is closed behind the answer."""
        return not self.keep or self.connection.front.draining

    def is_abandoned(self) -> bool:
        """Whether the caller has left."""
        return self.connection.gone
