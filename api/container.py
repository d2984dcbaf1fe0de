"""What a request finds on `app.state.container`: everything that the composition root opened."""

from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from config import Settings
from services.payout_router import PayoutRouter
from utils.health_check import HealthRegistry
from utils.metrics import Metrics


class Container(Protocol):
    """The parts that the edge uses."""

    @property
    def router(self) -> PayoutRouter:
        """The use cases."""

    @property
    def settings(self) -> Settings:
        """What the service was told."""

    @property
    def health(self) -> HealthRegistry:
        """The checks behind /health."""

    @property
    def metrics(self) -> Metrics:
        """The families behind /metrics."""

    async def status(self) -> dict[str, Any]:
        """How the service stands, for people: JSON values only, no secrets."""


async def container(request: Request) -> Container:
    """The container of the application that serves this request."""
    found: Container = request.app.state.container
    return found


Parts = Annotated[Container, Depends(container)]
