"""The address policy against another way to decide the same: random networks, random addresses, ``ipaddress``.

Nothing here is shared with the code under test: the tables are written out again, wrapped addresses are read from the
groups of an address's text, and whether one is in a network is asked by widening it to that network's prefix.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus3.actors.http.ssrf import AddressPolicy, Origin
from nexus3.actors.settings import ProviderConfig
from nexus3.wire.addresses import Network, read_network

Address = IPv4Address | IPv6Address

METADATA = [
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
]
NEVER = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
]
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
LOOPBACK = ["127.0.0.0/8", "::1/128"]


def is_in(address: Address, networks: list[str]) -> bool:
    def widened(prefix: int) -> str:
        return str(ip_network(f"{address}/{prefix}", strict=False))

    known = [text for text in networks if version_of(text) == address.version]
    return any(widened(int(text.partition("/")[2])) == text for text in known)


def layers(address: Address) -> list[Address]:
    """An address and those that it wraps."""
    if isinstance(address, IPv4Address):
        return [address]
    found: list[Address | None] = [address, address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    groups = address.exploded.split(":")
    last = IPv4Address(bytes.fromhex("".join(groups[6:])))
    if groups[4:6] in (["0000", "5efe"], ["0200", "5efe"]) or groups[:6] == ["0064", "ff9b", *["0000"] * 4]:
        found.append(last)
    if groups[:6] == ["0000"] * 6 and groups[6:] not in (["0000", "0000"], ["0000", "0001"]):
        found.append(last)
    if groups[:3] == ["0064", "ff9b", "0001"]:
        first = IPv4Address(bytes.fromhex(groups[3] + groups[4][2:] + groups[5][:2]))
        found += [one for one in (first, last) if int(one)] or [last]
    return [one for one in found if one is not None]


def verdict(address: Address, *, loopback: bool, private: bool, listed: list[str]) -> str:
    """What becomes of a connection over https; the gravest first."""
    every = layers(address)
    unlisted = [one for one in every if not is_in(one, listed)]
    if any(str(one) in METADATA for one in every):
        return "metadata_address"
    if any(is_in(one, NEVER) for one in every):
        return "reserved_address"
    if not private and any(is_in(one, PRIVATE) for one in unlisted):
        return "private_address"
    if not loopback and any(is_in(one, LOOPBACK) for one in unlisted):
        return "loopback_address"
    return ""


def within(text: str) -> st.SearchStrategy[Address]:
    """Any address of a network, its first and last ones often."""
    whole = ip_network(text)
    first, last = int(whole.network_address), int(whole.broadcast_address)
    make = IPv4Address if whole.version == 4 else IPv6Address
    return st.one_of(st.integers(first, last), st.sampled_from([first, last])).map(make)


CAN_BE_LISTED = [*PRIVATE, *LOOPBACK]


def of_a_kind(*versions: int) -> st.SearchStrategy[Address]:
    """Private and loopback addresses above all: of the others, most are refused whatever is listed."""
    allowable, never = ([text for text in kind if version_of(text) in versions] for kind in (CAN_BE_LISTED, NEVER))
    metadata = [ip_address(text) for text in METADATA if version_of(text) in versions]
    listable = st.sampled_from(allowable).flatmap(within)
    return st.one_of(listable, listable, listable, st.sampled_from(never).flatmap(within), st.sampled_from(metadata))


def version_of(text: str) -> int:
    return 6 if ":" in text else 4


@st.composite
def wrapping(draw: st.DrawFn) -> Address:
    inner, outer = int(draw(of_a_kind(4))), draw(st.sampled_from([0x2606 << 112, 0xFD12 << 112, 0xFE80 << 112]))
    made = draw(
        st.sampled_from(
            [
                inner,
                0xFFFF << 32 | inner,
                0x64FF9B << 96 | inner,
                0x64FF9B0001 << 80 | inner,
                0x64FF9B0001 << 80 | (inner >> 16) << 64 | (inner & 0xFFFF) << 40 | draw(st.sampled_from([0, inner])),
                0x2002 << 112 | inner << 80 | 1,
                0x20010000 << 96 | 0x08080808 << 64 | (inner ^ 0xFFFFFFFF),
                outer | 0x5EFE << 32 | inner,
                outer | 0x02005EFE << 32 | inner,
            ]
        )
    )
    return IPv6Address(made)


def can_be_listed(network: Network) -> bool:
    """By the first and the last address of a network, between which there is nothing that could be metadata."""
    ends = [network.network_address, network.broadcast_address]
    in_one = any(all(is_in(end, [text]) for end in ends) for text in CAN_BE_LISTED)
    return in_one and not any(ip_address(text) in network for text in METADATA)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Around an address, of any size; mostly such as could be listed."""
    address = draw(of_a_kind(4, 6) | st.ip_addresses())
    return ip_network(f"{address}/{draw(st.integers(0, address.max_prefixlen))}", strict=False)


@settings(max_examples=800, deadline=None, derandomize=True)
@example(ip_network("100.64.0.0/10"))
@example(ip_network("::/96"))
@example(ip_network("::1/128"))
@given(networks())
def test_a_network_can_be_listed_as_far_as_the_oracle_says(network: Network) -> None:
    try:
        assert read_network(str(network)) == network
    except ValueError:
        assert not can_be_listed(network)
    else:
        assert can_be_listed(network)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Address, list[str]]:
    """An address, and networks of which some hold it or what it wraps: at random, none ever would."""
    address = draw(of_a_kind(4, 6) | wrapping() | st.ip_addresses())
    found = draw(st.lists(networks(), max_size=1))
    for one in layers(address):
        prefix = draw(st.sampled_from([8, 16, 24, 31, 32] if one.version == 4 else [16, 48, 64, 127, 128]))
        if draw(st.integers(0, 2)):
            found.append(ip_network(f"{one}/{prefix}", strict=False))
    return address, [str(network) for network in found if can_be_listed(network)]


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(cases(), st.booleans(), st.booleans())
def test_every_decision_is_the_oracle_s(case: tuple[Address, list[str]], loopback: bool, private: bool) -> None:
    address, listed = case
    config = ProviderConfig(allowed_cidrs=tuple(listed))
    policy = AddressPolicy(
        allow_loopback=loopback,
        allow_private=private,
        allow_insecure_http=False,
        allowed_cidrs=tuple(read_network(text) for text in config.allowed_cidrs),
    )
    refusal = policy.refusal(Origin("https", "api.example.test", 443), [address])
    decided = refusal.reason if refusal is not None else ""
    assert decided == verdict(address, loopback=loopback, private=private, listed=listed)
