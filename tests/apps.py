"""The application over a container that the test makes, without the process around it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI

from api.app import Edge, build_app
from api.container import Container

_IDLE: list[Edge] = []


@asynccontextmanager
async def _lives(_: FastAPI) -> AsyncIterator[None]:
    yield


@contextmanager
def an_app(container: Container) -> Iterator[Edge]:
    """The application for one test. To find out what each route takes is slow, so another test gets
    it afterwards: with fresh middleware, and only if it has the routes that it had."""
    app = _IDLE.pop() if _IDLE else build_app(_lives)
    routes = [*app.routes]
    app.state.container = container
    app.middleware_stack = None
    yield app
    if [*app.routes] == routes:
        _IDLE.append(app)
