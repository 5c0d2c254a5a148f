"""What kind of place an address is: the facts that decide where a key may be sent.

Pure: it classifies literals and well-known names, and resolves nothing. ``ipaddress.is_global`` does not do: it calls
several cloud metadata services, multicast and IPv6 wrappings of loopback global. The networks are IANA's
special-purpose registries; the metadata addresses are the cloud vendors' own documentation.
"""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

AddressClass = Literal["public", "loopback", "private", "never", "metadata"]
"""In order of caution. ``never`` (unroutable, link-local, multicast, documentation) and ``metadata`` (services that
hand out a cloud machine's credentials) cannot be allowed by any setting."""

_CAUTION: tuple[AddressClass, ...] = ("public", "loopback", "private", "never", "metadata")

_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata", "instance-data", "instance-data.ec2.internal"})

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.42.42",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
    )
)


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in text.split())


_LOOPBACK = _networks("127.0.0.0/8 ::1/128")
_PRIVATE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7")
_NEVER = _networks(
    "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4"
    " 240.0.0.0/4 ::/128 fe80::/10 fec0::/10 ff00::/8 100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16"
)

_COMPATIBLE, _MAPPED, _NAT64, _NAT64_LOCAL, _SIX_TO_FOUR, _TEREDO = (
    IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
_ISATAP = (0x00005EFE, 0x02005EFE)


def classify(address: IPv4Address | IPv6Address) -> AddressClass:
    """The class of an address; of one that wraps an IPv4 address, the more cautious of the two."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "never"
        classes = [_plain(address), *(_plain(inner) for inner in _wrapped(address))]
        return next(kind for kind in reversed(_CAUTION) if kind in classes)
    return _plain(address)


def classify_host(host: str) -> AddressClass | None:
    """The class of the host of a URL where its text alone says it; ``None`` for a name that must be resolved."""
    name = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if name in _METADATA_NAMES:
        return "metadata"
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    try:
        return classify(ipaddress.ip_address(name))
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> AddressClass:
    if address in _METADATA:
        return "metadata"
    if any(address in network for network in _NEVER):
        return "never"
    if any(address in network for network in _PRIVATE):
        return "private"
    if any(address in network for network in _LOOPBACK):
        return "loopback"
    return "public"


def _wrapped(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that a router or the system may unpack from this one."""
    number = int(address)
    last, server = number & 0xFFFFFFFF, (number >> 64) & 0xFFFFFFFF
    found = list[int]()
    if address in _MAPPED or address in _NAT64 or (address in _COMPATIBLE and last > 1):
        found.append(last)
    if address in _NAT64_LOCAL:
        # The prefix may be used at any length from 48 to 96 bits; these are its two ends (RFC 6052, 2.2). Where one is
        # in use, the other reads as zero.
        ends = (last, (number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
        found += [end for end in ends if end] or [0]
    if address in _SIX_TO_FOUR:
        found.append(number >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        found += [server, last ^ 0xFFFFFFFF]
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        found.append(last)
    return [IPv4Address(item) for item in found]
