"""The routes of the page, in the application that serves Tiled: its files, and the numbers of runs as binary arrays."""

import asyncio
import importlib.util
import json
import math
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.concurrency import run_in_threadpool

from curio_plans.documents.acts import read_act
from curio_plans.page.runs import SIDE, Runs
from curio_plans.page.security import reading, same_origin, steering
from curio_plans.page.view import RunView, as_table
from curio_plans.page.wire import about, news, plain
from curio_plans.store.errors import JournalError, RunNotFound
from curio_plans.store.guard import PAGE
from curio_plans.store.steer import send

T = TypeVar("T")


class Asked(BaseModel):
    """An act that somebody asks for; see :mod:`curio_plans.documents.acts`."""

    model_config = ConfigDict(extra="forbid")

    act: str
    values: dict[str, JsonValue] = Field(default_factory=dict)
    by: Annotated[str, Field(min_length=1, max_length=200)]


FILES = Path(__file__).parent / "files"
COLOURS = ("gray", "cividis", "viridis")
"""Colour maps that the page may use; the last two are made for all eyes."""

TICK = 0.25
"""Seconds between two looks at the journal of a run that somebody watches."""

KEEP_ALIVE = 15.0
"""Seconds after which a stream says something even if there is nothing to say."""


def add_page(tiled: FastAPI, directory: Path | str) -> None:
    """Add the page of a data directory to the application that serves it.

    Parameters
    ----------
    tiled : fastapi.FastAPI
        Tiled's application; :func:`curio_plans.store.serve.serve` takes this function as `add`.
    directory : Path or str
        The data directory.
    """
    tiled.include_router(_files(), prefix=PAGE.rstrip("/"))
    tiled.include_router(_data(Runs(Path(directory))), prefix=f"{PAGE}api")


def _files() -> APIRouter:
    """Return the routes of what is the same for everybody and needs no key."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def runs_page() -> FileResponse:
        return FileResponse(FILES / "index.html")

    @router.get("/run/{uid}")
    def run_page(uid: str) -> FileResponse:  # noqa: ARG001  the page reads it from its address
        return FileResponse(FILES / "run.html")

    @router.get("/files/{name}")
    def file(name: str) -> Response:
        if name == "plotly.js":
            return FileResponse(_plotly(), media_type="text/javascript")
        stem, _, ending = name.partition(".")
        if ending == "rgb" and stem in COLOURS:
            return Response(_colours(stem), media_type="application/octet-stream")
        if name not in {path.name for path in FILES.iterdir()}:
            raise HTTPException(404, "there is no such file")
        return FileResponse(FILES / name)

    return router


def _data(runs: Runs) -> APIRouter:
    """Return the routes of the runs; each asks for a key that may read."""
    router = APIRouter(dependencies=[reading], include_in_schema=False)

    def look(uid: str, what: Callable[[RunView], T]) -> T:
        with runs.lock:
            try:
                return what(runs.view(uid))
            except (LookupError, JournalError) as error:
                detail = error.args[0] if isinstance(error, RunNotFound | JournalError) else "there is no such thing"
                raise HTTPException(404, str(detail)) from error

    @router.get("/runs")
    def list_runs(
        search: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 30,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        return _json(runs.list(search, limit, offset))

    @router.get("/runs/{uid}")
    def describe(uid: str) -> Response:
        return _json(look(uid, about))

    @router.get("/runs/{uid}/picture")
    def picture(uid: str) -> Response:
        return look(uid, lambda view: _array(_small(view)))

    @router.get("/runs/{uid}/rows/{table}")
    def rows(uid: str, table: str, start: Annotated[int, Query(ge=0)] = 0) -> Response:
        return look(uid, lambda view: _array(as_table(view.rows[table][start:], len(view.columns(table)))))

    @router.get("/runs/{uid}/pool")
    def pool(uid: str) -> Response:
        return look(uid, lambda view: _array(_positions(view)))

    @router.get("/runs/{uid}/images/{number}/{channel}")
    def image(uid: str, number: int, channel: int) -> Response:
        return look(uid, lambda view: _array(view.image(_natural(number), _natural(channel))))

    @router.get("/runs/{uid}/maps/{number}/{name}")
    def belief(uid: str, number: int, name: str) -> Response:
        return look(uid, lambda view: _array(view.map(_natural(number), name)))

    @router.get("/runs/{uid}/predictions/{number}/{candidate}")
    def prediction(uid: str, number: int, candidate: int) -> Response:
        return look(uid, lambda view: _array(view.prediction(_natural(number))[_natural(candidate)]))

    @router.get("/runs/{uid}/spectra/{table}/{number}")
    def spectrum(uid: str, table: str, number: int) -> Response:
        return look(uid, lambda view: _array(view.spectrum(table, _natural(number))))

    @router.get("/runs/{uid}/truth/{candidate}")
    def truth(uid: str, candidate: int) -> Response:
        return look(uid, lambda view: _array(view.truth()[_natural(candidate)]))

    @router.post("/runs/{uid}/acts", dependencies=[steering, Depends(same_origin)])
    def ask(uid: str, asked: Asked) -> Response:
        look(uid, lambda view: view.uid)
        try:
            _, name = send(runs.directory, uid, read_act(asked.act, asked.values), asked.by)
        except (ValueError, OSError) as error:
            raise HTTPException(409, str(error)) from error
        return _json({"name": name})

    @router.get("/runs/{uid}/acts/{name}")
    def answered(uid: str, name: str) -> Response:
        return _json(look(uid, lambda view: view.mailbox.answered(name)))

    @router.get("/runs/{uid}/events")
    async def events(request: Request, uid: str, since: Annotated[str, Query(max_length=400)] = "{}") -> Response:
        try:
            known = {str(name): int(number) for name, number in json.loads(since).items()}
        except (ValueError, TypeError, AttributeError):
            raise HTTPException(422, "expected since as a JSON object of whole numbers") from None
        await run_in_threadpool(look, uid, lambda view: view.uid)

        async def stream() -> AsyncIterator[bytes]:
            told, quiet = "", 0.0
            while not await request.is_disconnected():
                found = await run_in_threadpool(look, uid, lambda view: news(view, known))
                text = json.dumps(plain(found.message), separators=(",", ":"))
                if found.grown or text != told or quiet >= KEEP_ALIVE:
                    known.update(found.known)
                    told = json.dumps(plain(found.unchanging), separators=(",", ":"))
                    quiet = 0.0
                    yield f"data: {text}\n\n".encode()
                if found.over:
                    yield b"event: end\ndata: {}\n\n"
                    return
                await asyncio.sleep(TICK)
                quiet += TICK

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return router


def _json(value: Any) -> Response:
    return Response(json.dumps(plain(value), separators=(",", ":")), media_type="application/json")


def _array(values: NDArray[Any]) -> Response:
    """Return an array as its bytes, row by row, little-endian; shape and type in headers."""
    kept = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    headers = {"X-Shape": ",".join(map(str, kept.shape)), "X-Type": kept.dtype.name}
    return Response(kept.tobytes(), media_type="application/octet-stream", headers=headers)


def _natural(number: int) -> int:
    if number < 0:  # Python would count from the end
        raise LookupError(f"expected a number from 0, got {number}")
    return number


def _positions(view: RunView) -> NDArray[np.float64]:
    pool = view.history.pool
    return np.empty((0, 2)) if pool is None else np.asarray(pool.positions, np.float64)


def _small(view: RunView) -> NDArray[np.uint8]:
    """Return the first image, small and gray, row 0 at y_max as a screen wants it."""
    names = view.images[0]["channels"]
    frame = view.image(0, names.index("polarisation") if "polarisation" in names else 0)
    step = max(1, math.ceil(max(frame.shape) / SIDE))
    small = np.nan_to_num(frame[::-step, ::step].astype(np.float64))
    low, high = np.percentile(small, (1, 99))
    scaled: NDArray[np.uint8] = (255 * np.clip((small - low) / ((high - low) or 1.0), 0, 1)).astype(np.uint8)
    return scaled


@lru_cache
def _colours(name: str) -> bytes:
    """Return a colour map as 256 × 3 bytes."""
    import matplotlib as mpl

    table: NDArray[np.float64] = mpl.colormaps[name](np.linspace(0, 1, 256))
    return (table[:, :3] * 255).round().astype(np.uint8).tobytes()


@lru_cache
def _plotly() -> Path:
    """Return plotly's bundle, which its Python package contains."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise HTTPException(404, "the Python package plotly is not installed: pip install plotly")
    return Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
