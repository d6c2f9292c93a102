"""Serve agents over HTTP to runs on other machines."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.protocols import Agent, Config
from curio_plans.elsewhere.folds import Folds
from curio_plans.elsewhere.wire import MEDIA_TYPE, VERSION, pack
from curio_plans.store.listening import SHORTEST_KEY, Listener, can_be_guessed

BODY_LIMIT = 512 * 2**20
"""Largest request in bytes; a pool of 65 536 candidates of 4 × 9 × 9 px has 81 MiB."""

ROUND = 2.0
"""Seconds after which a request for a thought that is not done is answered; the run then asks again."""


def make_app(folds: Folds, key: str | None = None, body_limit: int = BODY_LIMIT, patience: float = ROUND) -> Starlette:
    """Return the application.

    Parameters
    ----------
    folds : Folds
        The agents.
    key : str, optional
        What runs must show in the header ``Authorization: Apikey KEY``; by default nothing.
    body_limit : int
        Largest request in bytes.
    patience : float
        Seconds after which a request for a thought that is not done is answered; the run then asks again.
    """

    async def reply(future: Any) -> Response:
        try:
            status, body = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), patience)
        except TimeoutError:
            return Response(status_code=202)
        return Response(body, status, media_type=MEDIA_TYPE)

    async def home(_: Request) -> Response:
        return Response(json.dumps({"service": "curio think", "version": VERSION}), media_type="application/json")

    async def describe(request: Request) -> Response:
        return await reply(folds.describe(await request.body()))

    async def ask(request: Request) -> Response:
        return await reply(folds.ask(request.path_params["name"], await request.body()))

    def guarded(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            refusal = _refusal(request, key)
            return await endpoint(request) if refusal is None else refusal

        return checked

    return Starlette(
        routes=[
            Route("/", home),
            Route("/describe", guarded(describe), methods=["POST"]),
            Route("/folds/{name:str}", guarded(ask), methods=["POST"]),
        ],
        middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=body_limit)],
    )


def serve(
    build: Callable[[Config], Agent],
    host: str = "127.0.0.1",
    port: int = 8765,
    key: str | None = None,
    *,
    certificate: Path | str | None = None,
    certificate_key: Path | str | None = None,
    tell: Callable[[str], Any] = print,
    body_limit: int = BODY_LIMIT,
) -> None:
    """Serve agents until Ctrl-C.

    Parameters
    ----------
    build : callable
        Makes an agent from its config.
    host : str
        Address to listen at; ``0.0.0.0`` for all of this computer's.
    port : int
        0 for any that is free.
    key : str, optional
        What to ask runs for, at least 16 letters and digits. Needed unless only this computer can reach `host`.
    certificate, certificate_key : Path or str, optional
        PEM files with which to speak HTTPS; a certificate may contain its key.
    tell : callable
        Gets the address, and a line for each request.
    body_limit : int
        Largest request in bytes.

    Raises
    ------
    ValueError
        If the key is too short or missing, or a certificate is missing.
    ServeError
        If the port is taken, or the certificate cannot be used.
    """
    if key is not None and can_be_guessed(key):
        raise ValueError(
            f"expected a key of at least {SHORTEST_KEY} letters and digits, as shorter ones can be guessed; try "
            f"{secrets.token_hex(16)}"
        )
    with Listener(host, port, certificate, certificate_key) as listener:
        if key is None and not listener.is_local:
            raise ValueError(
                f"others can reach {host}: expected a key (CURIO_THINK_KEY); at both ends, for example "
                f"{secrets.token_hex(16)}"
            )
        folds = Folds(build, tell)
        listener.serve(make_app(folds, key, body_limit), lambda: tell(f"agents think at {listener.address}"), tell)
        folds.close()


def _refusal(request: Request, key: str | None) -> Response | None:
    """Return why a request is not looked at; None if it is."""
    if request.headers.get("content-type") != MEDIA_TYPE or "origin" in request.headers:
        return _error(415, "WireError", f"expected a request of curio with the content type {MEDIA_TYPE}")
    if key is None:
        return None
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    if kind == "Apikey" and secrets.compare_digest(shown.encode(), key.encode()):
        return None
    return _error(401, "KeyError", "expected the key of this place; set CURIO_THINK_KEY where the run is")


def _error(status: int, kind: str, message: str) -> Response:
    return Response(pack({"error": kind, "message": message}), status, media_type=MEDIA_TYPE)
