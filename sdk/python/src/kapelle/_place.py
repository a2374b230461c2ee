"""Address and token of the server."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import NoToken

DEFAULT_URL = "http://127.0.0.1:7863"


@dataclass(frozen=True)
class Place:
    """A server and the token for it."""

    url: str
    token: str = field(repr=False)
    local: bool
    """Tells whether it is on this machine."""


def find(url: str | None, token: str | None) -> Place:
    """Finds the server and token: given, or of the environment.

    The address is `url`, else KAPELLE_URL, else that of the server of the folder, else http://127.0.0.1:7863.
    The token is `token`, else KAPELLE_TOKEN, else, for a server on this machine alone, that of the folder. The folder is
    KAPELLE_DATA, else the nearest `.kapelle`.
    """
    url = (url or os.environ.get("KAPELLE_URL") or _address() or DEFAULT_URL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url: `{url}` is not an address such as {DEFAULT_URL}")
    if parts.query or parts.fragment or parts.username:
        raise ValueError(f"url: `{url}` has more than scheme, host, port and path")
    local = _is_local(parts.hostname)
    token = token or os.environ.get("KAPELLE_TOKEN") or (_of_folder("token") if local else None)
    if not token:
        where = (
            "or work in the folder of the project: its server makes .kapelle/token when it is first started (`kapelle serve`)"
            if local
            else "`kapelle keys create` on its machine makes a key"
        )
        raise NoToken(f"there is no token for {url}: pass token=..., set KAPELLE_TOKEN, {where}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token: it has characters that no token has (a line break, a space?)")
    return Place(url, token, local)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address() -> str | None:
    """Reads the address file that a running server writes."""
    text = _of_folder("address")
    return text.splitlines()[0] if text else None


def _of_folder(file: str) -> str | None:
    data = os.environ.get("KAPELLE_DATA")
    here = Path.cwd()
    folders = [Path(data)] if data else [folder / ".kapelle" for folder in (here, *here.parents)]
    for folder in folders:
        try:
            text = (folder / file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            return text
    return None
