"""What kind of place an address is: the facts that decide where a key may be sent.

Pure: it classifies literals and well-known names, and resolves nothing. ``ipaddress.is_global`` does not do: it calls
several cloud metadata services, multicast and IPv6 wrappings of loopback global. The networks are IANA's
special-purpose registries; the metadata addresses are the cloud vendors' own documentation.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

Network = IPv4Network | IPv6Network

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


def _networks(text: str) -> tuple[Network, ...]:
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

_CIDR = re.compile(r"[0-9A-Fa-f.:]+(/(0|[1-9][0-9]{0,2}))?")


def allowed_networks(*, loopback: bool, private: bool, listed: Sequence[Network] = ()) -> tuple[Network, ...]:
    """What settings allow beside public addresses: this machine, all private networks, and some on their own."""
    return (*(_LOOPBACK if loopback else ()), *(_PRIVATE if private else ()), *listed)


def classify(address: IPv4Address | IPv6Address, allowed: Sequence[Network] = ()) -> AddressClass:
    """The class of an address; of one that wraps an IPv4 address, the more cautious of the two.

    What is private or loopback counts as public within the networks of ``allowed``. An address and what it wraps are
    looked for there each for itself: a network does not allow the addresses that pass through it.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "never"
        classes = [_plain(address, allowed), *(_plain(inner, allowed) for inner in _wrapped(address))]
        return next(kind for kind in reversed(_CAUTION) if kind in classes)
    return _plain(address, allowed)


def classify_host(host: str, allowed: Sequence[Network] = ()) -> AddressClass | None:
    """The class of the host of a URL where its text alone says it; ``None`` for a name that must be resolved.

    ``allowed`` is as for :func:`classify`; where it has loopback addresses, ``localhost`` must be resolved too.
    """
    name = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if name in _METADATA_NAMES:
        return "metadata"
    if name == "localhost" or name.endswith(".localhost"):
        return None if any(_overlap(network, _LOOPBACK) for network in allowed) else "loopback"
    try:
        return classify(ipaddress.ip_address(name), allowed)
    except ValueError:
        return None


def read_network(text: str) -> Network:
    """A network that may be allowed on its own: of private or loopback addresses, and no metadata service among them.

    An address without a prefix is a network of one. Addresses that wrap others cannot be listed as such: they are
    judged by what they wrap, however it is wrapped.

    Raises:
        ValueError: what is wrong and what to write. Text that is no network is not shown: it may be anything.
    """
    if "%" in text:
        raise ValueError("has a zone id; leave out the % and what follows it")
    interface = None
    if _CIDR.fullmatch(text):
        with suppress(ValueError):
            interface = ipaddress.ip_interface(text)
    if interface is None:
        raise ValueError("must be a network such as 10.20.0.0/16 or fd12:3456::/48, or one address")
    network = interface.network
    if (problem := _unlistable(network)) is not None:
        raise ValueError(f"{network} {problem}")
    if interface.ip != network.network_address:
        raise ValueError(f"has bits set beyond its prefix; write {network}, or {interface.ip} for that one address")
    return network


def _unlistable(network: Network) -> str | None:
    """Why it cannot be allowed on its own, by its plain addresses: wrapped ones are judged when they are met."""
    metadata = [address for address in _METADATA if address in network]
    if metadata:
        first = min(metadata, key=int)
        return f"holds {first}, a metadata service of a cloud, and no setting allows that; list networks without it"
    if _overlap(network, _NEVER):
        return (
            "holds link-local, multicast or reserved addresses, and no setting allows those;"
            " list the private networks that are meant"
        )
    if any(_is_within(network, known) for known in (*_PRIVATE, *_LOOPBACK)):
        return None
    if _is_within(network, _MAPPED):
        meant = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
        return f"spells IPv4 addresses as IPv6 ones; write {meant}, which holds for both spellings"
    if _overlap(network, (_MAPPED, _COMPATIBLE, _NAT64, _NAT64_LOCAL, _SIX_TO_FOUR)):
        return (
            "holds addresses that wrap IPv4 addresses;"
            " list the IPv4 networks that are meant, which hold however they are wrapped"
        )
    return "holds public addresses, which are allowed anyway; list private and loopback networks alone"


def _overlap(network: Network, others: Iterable[Network]) -> bool:
    return any(network.network_address in other or other.network_address in network for other in others)


def _is_within(network: Network, other: Network) -> bool:
    return network.network_address in other and network.broadcast_address in other


def _plain(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> AddressClass:
    """The class of an address, whatever it wraps."""
    if address in _METADATA:
        return "metadata"
    if any(address in network for network in _NEVER):
        return "never"
    if any(address in network for network in allowed):
        return "public"
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
