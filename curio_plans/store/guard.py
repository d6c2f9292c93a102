"""A guard before Tiled's application: who may come in, which files the web page has, what may be registered.

Tiled 0.2.20 joins whatever path it is asked for to the folder of its web page and answers without a key, so it hands
out every file that it can read itself. The guard looks at each request before Tiled's routes do. It refuses what is not
on its list: a route that a newer Tiled adds needs a key.
"""

import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = frozenset({"/", "/favicon.ico", "/healthz", "/tiled-ui-settings", "/api/v1/"})
"""Paths that anyone may read: what a browser or a client needs before it can show a key. None tells of any run."""

PUBLIC_FILES = ("/ui/", "/static/")
"""Folders of the web page, whose files anyone may read."""

PAGE = "/curio/"
"""curio's own page. Its files are public; its data need a key, which must stand in a header."""

PAGE_DATA = f"{PAGE}api/"
"""Where the data of curio's page are."""

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What each answer of curio's page tells a browser: load and run nothing from elsewhere, and nothing that stands in
the text of a document. Styles may be set by scripts, as the drawing library does."""

BODY_LIMIT = 256 * 2**20
"""Largest body of a request in bytes; a frame of 4 × 512 × 512 float32 has 4 MiB, a batch of spectra at most 64 MiB."""

WRONG_KEYS, WINDOW = 20, 60.0
"""A client address may try so many wrong keys within so many seconds."""

_CLIENTS = 4096
"""Client addresses, and right keys, that are remembered."""

_LOGIN = "/api/v1/auth/"
_RAW_FILES = "/api/v1/asset/"
_REGISTERING = {"/api/v1/metadata/": "POST", "/api/v1/register/": "POST", "/api/v1/data_source/": "PUT"}
_ODD = re.compile(r"[\\:%\x00-\x1f\x7f]|//|/\.\.?(?:/|$)")
_SECRET = re.compile(r"((?:api_key|access_token)=)[^&\s\"]*")


def protect(tiled: Any, body_limit: int | None = None) -> Any:
    """Put the guard before a Tiled application and keep keys out of uvicorn's logs.

    Parameters
    ----------
    tiled : fastapi.FastAPI
        What ``tiled.server.app.build_app_from_config`` returns; it must not have answered yet.
    body_limit : int, optional
        Largest body of a request in bytes; by default any.

    Returns
    -------
    fastapi.FastAPI
        The same application.
    """
    tiled.add_middleware(Guard, tiled=tiled)
    if body_limit is not None:
        tiled.add_middleware(RequestBodyLimitMiddleware, max_body_size=body_limit)
    for name in ("uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).addFilter(hide_keys)
    return tiled


def configured() -> Any:
    """Return Tiled's application of the configuration file ``$TILED_CONFIG``, protected; a factory for uvicorn."""
    from tiled.config import parse_configs
    from tiled.server.app import build_app_from_config

    path = os.environ.get("TILED_CONFIG")
    if not path:
        raise ValueError("expected the path of Tiled's configuration file in the environment variable TILED_CONFIG")
    return protect(build_app_from_config(parse_configs(path)), BODY_LIMIT)


def hide_keys(record: logging.LogRecord) -> bool:
    """Replace keys in the addresses of a log record."""
    if isinstance(record.args, tuple):
        record.args = tuple(_SECRET.sub(r"\1***", arg) if isinstance(arg, str) else arg for arg in record.args)
    return True


class Guard:
    """ASGI middleware that passes on to Tiled what it may see, and refuses the rest.

    With one key for all, the guard compares it. With accounts, it asks for any key or token, which Tiled then checks.

    Parameters
    ----------
    app : ASGI application
        What comes after the guard.
    tiled : fastapi.FastAPI
        The Tiled application, for its key and its storage.
    """

    def __init__(self, app: ASGIApp, tiled: Any) -> None:
        from tiled.utils import SHARE_TILED_PATH

        self._app, self._tiled = app, tiled
        self._page = Path(SHARE_TILED_PATH, "ui").absolute() if SHARE_TILED_PATH else None
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have Tiled answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request, path = HTTPConnection(scope), get_route_path(scope)
        public, key = _is_public(request, path), presented_key(request, path)
        client = request.client.host if request.client else ""

        async def answer(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers["Referrer-Policy"] = "no-referrer"  # an address may have a key in it
                if path.startswith(PAGE):
                    for name, value in PAGE_HEADERS.items():
                        headers[name] = value
                    del headers["set-cookie"]  # Tiled's, which the page does not use
                    headers.setdefault("Cache-Control", "no-store" if path.startswith(PAGE_DATA) else "no-cache")
                status = message["status"]
                if status == 401 and (key is not None or path.startswith(_LOGIN)):
                    if wait := self._attempts.refused(client, key):
                        message["status"] = 429
                        headers["Retry-After"] = str(wait)
                elif status < 300 and key is not None and path.startswith(("/api/v1/", PAGE_DATA)) and not public:
                    self._attempts.accepted(key)
            await send(message)

        try:
            if path.startswith(PUBLIC_FILES):
                scope = self._inside_page(scope, path)
            self._require_key(request, path, key, public=public)
            if path.startswith(_LOGIN) and scope.get("method") == "POST" and self._attempts.wait(client):
                raise HTTPException(401, "too many wrong passwords from this address; wait a minute")
            if path.startswith(_RAW_FILES):
                raise HTTPException(403, "raw files are not handed out; read the arrays and tables they hold")
            if any(path.startswith(at) and scope.get("method") == how for at, how in _REGISTERING.items()):
                receive = await self._require_own_files(Request(scope, receive))
        except HTTPException as refusal:
            response = JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)
            await response(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _inside_page(self, scope: Scope, path: str) -> Scope:
        """Return the scope of a file of the page that exists, else that of the page itself, which knows its views."""
        if self._page is None or _ODD.search(path):
            raise HTTPException(404, "there is no such page")
        if path.startswith("/static/"):
            return scope
        file = Path(os.path.normpath(self._page / path.removeprefix("/ui/")))
        if file.is_relative_to(self._page) and os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises on long names
            return scope
        page = f"{scope.get('root_path', '')}/ui/index.html"
        return {**scope, "path": page, "raw_path": page.encode()}

    def _require_key(self, request: HTTPConnection, path: str, key: str | None, *, public: bool) -> None:
        from tiled.server.settings import get_settings

        settings = self._tiled.dependency_overrides[get_settings]()
        if public and ("api_key" not in request.query_params or path.startswith(PAGE)):
            return
        if self._tiled.state.authenticated:
            token = request.headers.get("authorization") or request.query_params.get("access_token")
            if public or key or token or path.startswith(_LOGIN) or settings.allow_anonymous_access:
                return
        elif key is not None:
            if secrets.compare_digest(key.encode(), settings.single_user_api_key.encode()):
                return
            watching = watching_key(settings.single_user_api_key)
            if path.startswith(PAGE_DATA) and secrets.compare_digest(key.encode(), watching.encode()):
                return
            raise _unauthorised("this is not the API key of this server; curio serve tells it when it starts")
        elif settings.allow_anonymous_access:
            return
        raise _unauthorised(
            "expected an API key, in the header 'Authorization: Apikey KEY'; in a browser, open the address with "
            "?api_key=KEY once"
        )

    async def _require_own_files(self, request: Request) -> Receive:
        """Refuse a data source outside the catalog's storage; return a `receive` that has the body again."""
        from tiled.server.schemas import PostMetadataRequest, PutDataSourceRequest

        body = await request.body()
        sources: Iterable[Any] = ()
        try:
            if request.method == "PUT":
                sources = [PutDataSourceRequest.model_validate(json.loads(body)).data_source]
            else:
                sources = PostMetadataRequest.model_validate(json.loads(body)).data_sources
        except (ValueError, RecursionError):
            pass  # Tiled validates with the same two models: it refuses this as well, and says where it is wrong
        context = getattr(self._tiled.state.root_tree, "context", None)
        strange = foreign(sources, {} if context is None else context.readable_storage)
        if strange is not None:
            raise HTTPException(
                422,
                f"expected data in the storage of this catalog, got {strange!r}; copy the file into its readable "
                "storage (tiled/external in a data directory), or write its arrays to the catalog",
            )
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return unread.pop() if unread else await request.receive()

        return receive


class Attempts:
    """The wrong keys of the last minute, by the address of the client.

    A right key always passes: that keys are not guessed is a matter of their length. The limit is for a client that
    hammers with a wrong one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}
        self._right: dict[int, None] = {}

    def wait(self, client: str) -> int:
        """Return the seconds until `client` may try again, 0 for now."""
        times = self._wrong.get(client)
        if times is None or len(times) < WRONG_KEYS:
            return 0
        return max(0, math.ceil(times[0] + WINDOW - self._clock()))

    def accepted(self, key: str) -> None:
        """Remember a right key: it may be refused what it is not for, and that is no attempt to guess one."""
        _remember(self._right, hash(key), None)

    def refused(self, client: str, key: str | None) -> int:
        """Remember a wrong key or password; return the seconds that `client` must wait, 0 if it may try another."""
        if key is not None and hash(key) in self._right:
            return 0
        if wait := self.wait(client):
            return wait
        times = self._wrong.get(client, deque(maxlen=WRONG_KEYS))
        times.append(self._clock())
        _remember(self._wrong, client, times)
        return 0


def presented_key(request: HTTPConnection, path: str = "") -> str | None:
    """Return the API key that a request shows, looked up as Tiled does: query, header, cookie.

    For the data of curio's page only the header counts: another site can neither set nor guess it.
    """
    if path.startswith(PAGE_DATA):
        return shown_key(request)
    shown = (request.query_params.get("api_key"), shown_key(request), request.cookies.get("tiled_api_key"))
    return next((key for key in shown if key), None)


def shown_key(request: HTTPConnection) -> str | None:
    """Return the API key in the header of a request."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return (key.strip() or None) if scheme.lower() == "apikey" else None


def watching_key(key: str) -> str:
    """Return the key with which one may look at curio's page and change nothing; it follows from the server's key."""
    return hmac.new(key.encode(), b"curio: watching only", hashlib.sha256).hexdigest()


def foreign(sources: Iterable[Any], storage: Mapping[str, Any]) -> str | None:
    """Return the first thing in Tiled's data sources that is, or may lead, outside the storage; None if there is none.

    Parameters
    ----------
    sources : iterable of tiled.server.schemas.DataSource
        What is to be registered.
    storage : mapping of str to tiled.storage.Storage
        The storage that may be read, by URI.
    """
    for source in sources:
        for asset in source.assets:
            if not any(_holds(known, asset.data_uri) for known in storage.values()):
                return str(asset.data_uri)
        for name, value in source.parameters.items():
            # Tiled hands parameters to its readers as keyword arguments, beside the files it has checked.
            if "uri" in name.lower() or "path" in name.lower() or "://" in str(value):
                return f"{name}={value}"
    return None


def _holds(storage: Any, uri: str) -> bool:
    from tiled.storage import FileStorage
    from tiled.utils import path_from_uri

    if not isinstance(storage, FileStorage):
        return uri == str(storage.uri)
    folder = Path(storage.path).resolve()
    return uri.startswith("file:") and all(
        path_from_uri(read).resolve().is_relative_to(folder) for read in (uri, unquote(uri))
    )


def _is_public(request: HTTPConnection, path: str) -> bool:
    method = request.scope.get("method")  # a websocket has none
    if method == "OPTIONS":  # a browser asks, without the key, whether another origin may; only that is answered
        return "access-control-request-method" in request.headers
    if path.startswith(PAGE):
        return method in ("GET", "HEAD") and not path.startswith(PAGE_DATA)
    return method in ("GET", "HEAD") and (path in PUBLIC or path.startswith(PUBLIC_FILES))


def _unauthorised(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Apikey"})


def _remember(known: dict[Any, Any], item: Any, value: Any) -> None:
    """Put something at the end of what is known; the oldest is forgotten when there is too much."""
    known.pop(item, None)
    known[item] = value
    if len(known) > _CLIENTS:
        del known[next(iter(known))]
