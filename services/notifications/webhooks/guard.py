"""Where a webhook may go: an agency chooses the address, so it must not be able to point us at our own network.

The name is resolved here and the connection made to the address that was checked: resolving it a second time would let a
name that answers differently each time past the check.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST_URL = 2_000
RESOLVE_SECONDS = 5
# RFC 6052: behind these, a translator reaches the IPv4 address that is their last four bytes, a private one perhaps too.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# All that the internet's registries give out. Beside it are translators of a network's own (64:ff9b:1::, ::127.0.0.1).
_UNICAST = ipaddress.IPv6Network("2000::/3")


class Forbidden(Exception):
    """The URL is not one that we send to; carries a code."""


@dataclass(frozen=True)
class Target:
    """A URL with the host replaced by the address that was checked, the Host header, and the name for TLS."""

    url: str
    host: str
    name: str


def check(url: str, *, development: bool) -> None:
    """Check what can be seen of a URL without resolving it. Raises Forbidden with what is wrong and the remedy."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Forbidden("not a URL; send e.g. https://rj.example.org/onefriend") from None
    if len(url) > LONGEST_URL or not url.isascii() or any(c.isspace() for c in url):
        raise Forbidden("not a URL; send at most 2,000 ASCII characters without spaces")
    if parts.scheme != "https" and not (development and parts.scheme == "http"):
        raise Forbidden("not https; give an https URL")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise Forbidden("needs a host, and neither user, password nor fragment; leave those out")
    try:
        parts.hostname.encode("idna")  # as whoever looks it up does
    except UnicodeError:
        raise Forbidden(
            "has a host that cannot be one; each part of its name has 1 to 63 characters"
        ) from None
    if port == 0:
        raise Forbidden("has no usable port; leave it out or name one")
    if not development:
        try:
            literal = ipaddress.ip_address(parts.hostname)
        except ValueError:
            return
        if not _public(literal):
            raise Forbidden("is an address of a private network; give a public name")


def _public(address: Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if address in _NAT64:
        mapped = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    elif address.version == 6 and mapped is None and address not in _UNICAST:  # noqa: PLR2004 - IP versions
        return False
    return address.is_global and not address.is_multicast and (mapped is None or _public(mapped))


async def resolve(url: str, *, development: bool) -> Target:
    """Return where to connect. Raises Forbidden if any address of the name is not public, OSError if it has none."""
    check(url, development=development)
    parts = urlsplit(url)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(RESOLVE_SECONDS):
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    if not addresses:
        raise OSError("no address")
    if not development and not all(_public(address) for address in addresses):
        raise Forbidden("resolves to a private network")
    first = addresses[0]
    literal = f"[{first}]" if first.version == 6 else str(first)  # noqa: PLR2004 - IP versions
    default = parts.port is None
    return Target(
        urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, "")),
        parts.netloc if not default else parts.netloc.rstrip(":"),
        name,
    )
