"""What a request finds on `app.state.container`: everything that the composition root opened."""

from typing import Annotated, Protocol

from fastapi import Depends, Request

from api.status import StatusView
from config import Settings
from ports.throttle import Throttle
from services.audit import Audit
from services.compliance import Compliance
from services.control import Control
from services.payout_router import PayoutRouter
from services.tokens import Tokens
from utils.health_check import HealthRegistry
from utils.metrics import Metrics


class Container(Protocol):
    """The parts that the edge uses."""

    @property
    def router(self) -> PayoutRouter:
        """The use cases."""

    @property
    def control(self) -> Control:
        """Gates and pauses."""

    @property
    def audit(self) -> Audit:
        """The audit log."""

    @property
    def compliance(self) -> Compliance:
        """Lists of addresses, and the KYC registry."""

    @property
    def tokens(self) -> Tokens:
        """Revoked tokens."""

    @property
    def settings(self) -> Settings:
        """What the service was told."""

    @property
    def health(self) -> HealthRegistry:
        """The checks behind /health."""

    @property
    def throttle(self) -> Throttle:
        """Who asks too often."""

    @property
    def metrics(self) -> Metrics:
        """The families behind /metrics."""

    async def status(self) -> StatusView:
        """How the service stands, for people, without secrets."""


async def container(request: Request) -> Container:
    """The container of the application that serves this request."""
    found: Container = request.app.state.container
    return found


Parts = Annotated[Container, Depends(container)]
