"""Where one provider's requests may go: which addresses, and which of them without TLS.

A name proves nothing: whoever controls it, or its zone, can let it lead to a cloud's metadata service or to a database
beside the application, and with it goes the provider's key. So the policy is asked at each new connection, about every
address that the name has then, and only what it was asked about is connected to.

Pure: it resolves nothing. What kind of place an address is says :mod:`nexus3.wire.addresses`.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple, Self, assert_never

import msgspec

from nexus3.actors.resolved import ResolvedProvider
from nexus3.wire.addresses import AddressClass, Network, allowed_networks, classify, classify_host
from nexus3.wire.failures import Failure, fail
from nexus3.wire.urls import origin_parts

Address = IPv4Address | IPv6Address

Blocked = Literal["metadata_address", "reserved_address", "private_address", "loopback_address", "insecure_http"]
"""The ``reason`` of a failure of kind ``blocked``."""


class Origin(NamedTuple):
    """What a connection is for; connections are shared within one origin only."""

    scheme: str
    """``https`` or ``http``."""
    host: str
    """Lower case; IPv6 without brackets, no trailing dot."""
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of a URL, by the one parser that base URLs are checked by.

        Raises:
            ConfigError: the URL cannot be used; see :func:`nexus3.wire.urls.check_base_url`.
        """
        return cls(*origin_parts(url))

    @property
    def authority(self) -> str:
        """``host:port``, for a person to read."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Public addresses over https pass; the rest as far as these say. Metadata and reserved addresses never do."""

    allow_loopback: bool
    """Also without TLS: what stays on this machine, nobody on the way can read."""
    allow_private: bool
    allow_insecure_http: bool
    """Plain http to every address that is allowed at all."""
    allowed_cidrs: tuple[Network, ...] = ()
    """Private and loopback networks that are allowed though the rest of their kind is not."""

    def refusal(self, origin: Origin, addresses: Sequence[Address]) -> Failure | None:
        """Why ``origin`` cannot be connected to, where ``addresses`` are all that its name has now; else ``None``.

        One address that is not allowed refuses them all: which one a connection gets may be the attacker's choice.
        Without addresses, only what the name itself says is judged: ask once before it is looked up.
        """
        if classify_host(origin.host) == "metadata":
            return _refused("metadata_address", origin.host)
        allowed = allowed_networks(loopback=self.allow_loopback, private=self.allow_private, listed=self.allowed_cidrs)
        for address in addresses:
            reason = _against(classify(address, allowed))
            if reason is None and origin.scheme != "https" and not (self.allow_insecure_http or _is_here(address)):
                reason = "insecure_http"
            if reason is not None:
                is_literal = str(address) == origin.host
                return _refused(reason, origin.host if is_literal else f"{origin.host} leads to {address}, which")
        return None


def policy_of(provider: ResolvedProvider) -> AddressPolicy:
    """The policy that a provider's settings make, and its type: those that run beside the application have loopback."""
    return AddressPolicy(
        allow_loopback=provider.allow_loopback,
        allow_private=provider.allow_private,
        allow_insecure_http=provider.allow_insecure_http,
        allowed_cidrs=provider.allowed_cidrs,
    )


_WHY: dict[Blocked, str] = {
    "metadata_address": "is a metadata service of a cloud, and never a provider",
    "reserved_address": "is link-local, multicast or reserved, and no setting allows that",
    "private_address": "is a private address; set allow_private if that is meant, or list it in allowed_cidrs",
    "loopback_address": "is the local machine; set allow_loopback if that is meant, or list it in allowed_cidrs",
    "insecure_http": "would get key and prompts unencrypted; use https://, or set allow_insecure_http",
}


def _against(kind: AddressClass) -> Blocked | None:
    match kind:
        case "public":
            return None
        case "loopback":
            return "loopback_address"
        case "private":
            return "private_address"
        case "never":
            return "reserved_address"
        case "metadata":
            return "metadata_address"
        case _:
            assert_never(kind)


def _is_here(address: Address) -> bool:
    """What is sent there never leaves this machine. Only that: a wrapped 127.0.0.1 goes to whoever unwraps it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _refused(reason: Blocked, place: str) -> Failure:
    return fail("blocked", reason, f"{place} {_WHY[reason]}.", phase="connect")
