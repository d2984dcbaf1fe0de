"""An httpx transport to an endpoint in the same process: no socket, no server, no waiting."""

import httpx

from devnet.http import EndpointApp


class DevnetTransport(httpx.AsyncBaseTransport):
    """Like httpx.ASGITransport, with broken connections as httpx reports them: a reset is
    httpx.ReadError, and a hanging node is httpx.ReadTimeout at once.
    """

    def __init__(self, app: EndpointApp) -> None:
        """Send every request to one endpoint."""
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Serve a request. Raises httpx.ReadError and httpx.ReadTimeout."""
        try:
            return await self._inner.handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError("connection reset by the devnet", request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer from the devnet", request=request) from error
