"""Who may read the page's data: Tiled's own keys and scopes, shown in a header; never a cookie, never an address."""

import secrets
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import SecurityScopes
from tiled.access_control.scopes import PUBLIC_SCOPES
from tiled.server.authentication import get_current_scopes
from tiled.server.settings import Settings, get_settings

from curio_plans.store.guard import shown_key, watching_key

READ = ("read:metadata", "read:data")
"""What watching needs."""

STEER = "write:metadata"
"""What steering needs: a key that only reads does not have it."""


def check(
    request: Request,
    needed: SecurityScopes,
    scopes: Annotated[Any, Depends(get_current_scopes)],
    settings: Annotated[Settings, Depends(get_settings)],
) -> None:
    """Refuse a request whose key does not give the scopes that are needed.

    Raises
    ------
    HTTPException
        401 without a key in the header, 403 with one that is not for this.
    """
    if "api_key" in request.query_params:
        raise HTTPException(401, "a key does not belong into an address; send it as the header Authorization: Apikey")
    if "authorization" not in request.headers and not settings.allow_anonymous_access:
        raise HTTPException(401, "expected a key in the header Authorization: Apikey KEY")
    granted = {getattr(scope, "value", scope) for scope in scopes}
    key = shown_key(request)
    if key and not request.app.state.authenticated and _is_watching(key, settings):
        granted = {scope.value for scope in PUBLIC_SCOPES}
    missing = sorted(set(needed.scopes) - granted)
    if missing:
        raise HTTPException(403, f"this key lets one watch, but not do this; it lacks {', '.join(missing)}")


def same_origin(request: Request) -> None:
    """Refuse what another site's page asks for in a browser, even with a key.

    Raises
    ------
    HTTPException
        403 for such a request.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:  # an old browser, or no browser at all
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise HTTPException(403, "the page of another site asks for this; runs are steered from curio's own page")


reading = Security(check, scopes=list(READ))
steering = Security(check, scopes=[*READ, STEER])


def _is_watching(key: str, settings: Settings) -> bool:
    return secrets.compare_digest(key.encode(), watching_key(settings.single_user_api_key).encode())
