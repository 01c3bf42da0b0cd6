"""Which addresses webhooks may be sent to: the public internet, and what the operator allows."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dispatch_relay.errors import AddressDenied

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DENIED_V4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier (CGNAT)",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_DENIED_V6 = {
    "2001::/32": "Teredo",
    "2001::/23": "reserved",
    "2001:db8::/32": "for documentation",
    "2002::/16": "6to4",
    "3fff::/20": "for documentation",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
    "::1/128": "loopback",
}
_PUBLIC_V6 = IPv6Network("2000::/3")
"""The only part of IPv6 that is handed out: whatever lies outside is denied, whether a rule names it or not."""
_DENIED: list[tuple[Network, str]] = [
    (ip_network(text), why) for table in (_DENIED_V4, _DENIED_V6) for text, why in table.items()
]


def denied(address: Address) -> str:
    """Why nothing is sent to the address; "" where it is public."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if inner is not None:
        return denied(inner)
    for network, why in _DENIED:
        if address.version == network.version and address in network:
            return why
    if isinstance(address, IPv6Address) and address not in _PUBLIC_V6:
        return "reserved"
    return "" if address.is_global else "not public"


class Allowed:
    """What the operator allows beside the public internet.

    Args:
        hosts: host names ("hooks.internal", "*.svc.cluster.local"), addresses and networks ("10.0.0.0/8").
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._names: list[str] = []
        self._networks: list[Network] = []
        for host in hosts:
            try:
                self._networks.append(ip_network(host.strip("[]"), strict=False))
            except ValueError:
                self._names.append(host.lower().rstrip("."))

    def check(self, host: str, addresses: Sequence[Address]) -> None:
        """Raises AddressDenied unless every one of the host's addresses may be sent to."""
        name = host.lower().rstrip(".")
        if any(fnmatchcase(name, pattern) for pattern in self._names):
            return
        for address in addresses:
            why = denied(address)
            if why and not any(_unmapped(address) in network for network in self._networks):
                shown = "" if str(address) == host else f" ({host})"
                raise AddressDenied(
                    f"{address}{shown} is {why}, and webhooks go to public addresses only; if this one is yours, name "
                    "the host in allow_hosts of [plugin.relay]"
                )


def literal(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def certain(host: str) -> list[Address]:
    """The addresses of a host for which no name server is asked: one that is written out, in whatever notation, or a
    name of this machine itself; none for any other name, which is judged when it is called.

    >>> certain("localhost")[0], certain("127.1"), certain("example.com")
    (IPv4Address('127.0.0.1'), [IPv4Address('127.0.0.1')], [])
    """
    written = literal(host)
    if written is not None:
        return [written]
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return [IPv4Address("127.0.0.1"), IPv6Address("::1")]
    try:
        return [IPv4Address(socket.inet_aton(name))]
    except OSError:
        return []


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
