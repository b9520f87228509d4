"""Addresses that the worker may connect to for a model: public ones, and permitted ones."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Self

from perdure.errors import ToolError

LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses of a host."""

_ASSIGNED = IPv6Network("2000::/3")
"""All of IPv6 that is given to anyone; the rest is for special uses."""
_NAT64 = IPv6Network("64:ff9b::/96")
# Not public, although some versions of `ipaddress` say so.
_SPECIAL = (
    IPv4Network("168.63.129.16/32"),  # what an Azure machine learns about itself
    IPv4Network("192.0.0.0/24"),  # RFC 6890; an Oracle machine's metadata
    IPv4Network("192.88.99.0/24"),  # RFC 7526: once a relay into 6to4
    IPv6Network("3fff::/20"),  # RFC 9637: for documentation
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody's machine can be there; of an address that wraps another one, that one."""
    if isinstance(address, IPv6Address):
        if wrapped := _wrapped(address):
            return is_public(wrapped)
        if address not in _ASSIGNED:
            return False
    is_special = any(address in network for network in _SPECIAL)
    return address.is_global and not address.is_multicast and not is_special


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


@dataclass(frozen=True, slots=True)
class Permitted:
    """What an operator permits beside public addresses."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read names of hosts and networks with commas between them.

        Raises:
            ValueError: an entry is neither.
        """
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        networks = {entry: _network(entry) for entry in entries}
        return cls(
            frozenset(_host(entry) for entry, network in networks.items() if network is None),
            tuple(network for network in networks.values() if network is not None),
        )

    def holds(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.networks)


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None


def _host(entry: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", entry):
        raise ValueError(f"'{entry}' is neither a host's name nor a network such as 10.0.0.0/8")
    return plain_host(entry)


def plain_host(host: str) -> str:
    """The one spelling of a host's name that is compared."""
    return host.rstrip(".").lower()


async def look_up(host: str) -> list[str]:
    """Ask the system, which also reads spellings such as 2130706433 and 0x7f.1."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """Looks up hosts, and lets through those that are at public or permitted addresses."""

    permitted: Permitted = field(default_factory=Permitted)
    look_up: LookUp = look_up

    async def addresses(self, host: str) -> list[str]:
        """Where `host` is; connect to one of these and look it up no more.

        Raises:
            ToolError: one of its addresses is neither public nor permitted, or there is none.
        """
        try:
            found = list(await self.look_up(host))
        except (OSError, UnicodeError) as error:
            raise ToolError(
                f"No address is known for {host!r} ({error}); check the name."
            ) from None
        if not found:
            raise ToolError(f"No address is known for {host!r}; check the name.")
        if plain_host(host) not in self.permitted.hosts:
            self._check(host, found)
        return found

    def _check(self, host: str, found: list[str]) -> None:
        for each in found:
            address = ip_address(each)
            if not is_public(address) and not self.permitted.holds(address):
                raise ToolError(
                    f"{host!r} is at {address}, which is no public address, and tools connect to no"
                    " others. An operator can permit it in PERDURE_FETCH_ALLOW."
                )
