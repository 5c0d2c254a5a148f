"""Where a provider's requests may go, as a table of what people and attackers write."""

from ipaddress import ip_address, ip_network

import pytest

from nexus3.actors.http.ssrf import AddressPolicy, Origin, policy_of
from nexus3.actors.settings import ProviderConfig
from nexus3.config.resolve import resolve
from nexus3.errors import ConfigError
from nexus3.wire.catalog import CATALOG, ProviderTypeName
from nexus3.wire.failures import Failure, fail

# URL, what its host resolves to ("" for a literal, which is its own address), flags, verdict. The flags: l(oopback),
# p(rivate), i(nsecure http), and the networks of allowed_cidrs after a space each. The verdict is the failure's reason,
# "text" where the URL is refused unread, or "".
CORPUS = [
    # Public addresses need https and nothing else.
    ("https://api.example.test", "93.184.216.34", "", ""),
    ("https://api.example.test", "2606:4700::1111", "", ""),
    ("https://api.example.test", "93.184.216.34 2606:4700::1111", "", ""),
    ("https://93.184.216.34", "", "", ""),
    ("https://[2606:4700::1111]", "", "", ""),
    ("https://[64:ff9b::808:808]", "", "", ""),  # NAT64 of a public address: hosts behind DNS64
    ("https://api.example.test:8443/v1?x=1", "93.184.216.34", "", ""),
    ("https://api.example.test.", "93.184.216.34", "", ""),
    ("http://api.example.test", "93.184.216.34", "", "insecure_http"),
    ("http://api.example.test", "93.184.216.34", "lp", "insecure_http"),
    ("http://api.example.test", "93.184.216.34", "i", ""),
    ("http://93.184.216.34", "", "", "insecure_http"),
    # This machine.
    ("http://127.0.0.1:8000", "", "l", ""),
    ("http://127.0.0.1:8000", "", "", "loopback_address"),
    ("http://127.0.0.1:8000", "", "pi", "loopback_address"),
    ("http://127.255.255.254", "", "l", ""),
    ("http://[::1]:8000", "", "l", ""),
    ("http://[::1]:8000", "", "", "loopback_address"),
    ("http://localhost:8000", "127.0.0.1 ::1", "l", ""),
    ("http://localhost:8000", "127.0.0.1 ::1", "", "loopback_address"),
    ("https://localhost:8000", "127.0.0.1", "", "loopback_address"),
    ("http://localhost:8000", "93.184.216.34", "l", "insecure_http"),  # the name alone proves nothing
    ("http://[::ffff:127.0.0.1]", "", "l", ""),
    ("http://[::ffff:127.0.0.1]", "", "", "loopback_address"),
    ("https://api.example.test", "127.0.0.1", "", "loopback_address"),
    ("https://api.example.test", "::1", "", "loopback_address"),
    # A wrapped 127.0.0.1 is whatever the unwrapping router makes of it: caution, and no plain http to it.
    ("https://[::127.0.0.1]", "", "", "loopback_address"),
    ("https://[64:ff9b::7f00:1]", "", "", "loopback_address"),
    ("https://[2002:7f00:1::]", "", "", "loopback_address"),
    ("https://[2606:4700::5efe:7f00:1]", "", "", "loopback_address"),
    ("http://[2002:7f00:1::]", "", "l", "insecure_http"),
    ("http://[64:ff9b::7f00:1]", "", "l", "insecure_http"),
    # Private networks.
    ("https://10.0.0.1", "", "", "private_address"),
    ("https://10.0.0.1", "", "l", "private_address"),
    ("https://10.0.0.1", "", "p", ""),
    ("http://10.0.0.1", "", "p", "insecure_http"),
    ("http://10.0.0.1", "", "pi", ""),
    ("http://10.0.0.1", "", "i", "private_address"),
    ("https://172.16.0.1", "", "", "private_address"),
    ("https://192.168.1.1", "", "", "private_address"),
    ("https://100.64.0.1", "", "", "private_address"),
    ("https://[fc00::1]", "", "", "private_address"),
    ("https://[::ffff:10.0.0.1]", "", "", "private_address"),
    ("https://[64:ff9b::a00:1]", "", "", "private_address"),
    ("https://[64:ff9b:1::10.0.0.1]", "", "", "private_address"),
    ("https://[2002:c0a8:101::1]", "", "", "private_address"),
    ("https://api.example.test", "10.0.0.1", "", "private_address"),
    # Networks that are allowed though the rest of their kind is not.
    ("https://10.20.0.1", "", " 10.20.0.0/16", ""),
    ("https://10.20.255.255", "", " 10.20.0.0/16", ""),
    ("https://10.19.255.255", "", " 10.20.0.0/16", "private_address"),
    ("https://10.21.0.0", "", " 10.20.0.0/16", "private_address"),
    ("https://192.168.1.1", "", " 10.0.0.0/8 192.168.1.1/32", ""),
    ("https://192.168.1.2", "", " 10.0.0.0/8 192.168.1.1/32", "private_address"),
    ("https://[fd12:3456::1]", "", " fd12:3456::/48", ""),
    ("https://[fd12:3457::1]", "", " fd12:3456::/48", "private_address"),
    ("https://api.example.test", "10.20.0.1", " 10.20.0.0/16", ""),
    ("https://api.example.test", "10.20.0.1 93.184.216.34", " 10.20.0.0/16", ""),
    ("https://api.example.test", "10.20.0.1 10.21.0.1", " 10.20.0.0/16", "private_address"),
    ("https://api.example.test", "10.20.0.1 127.0.0.1", " 10.20.0.0/16", "loopback_address"),
    ("https://api.example.test", "10.20.0.1 169.254.169.254", " 10.20.0.0/16", "metadata_address"),
    ("https://93.184.216.34", "", " 10.20.0.0/16", ""),  # the list restricts nothing
    ("https://192.168.1.1", "", "p 10.20.0.0/16", ""),
    # They hold for what an address wraps, and what wraps it needs leave of its own.
    ("https://[::ffff:10.20.0.1]", "", " 10.20.0.0/16", ""),
    ("https://[::ffff:10.21.0.1]", "", " 10.20.0.0/16", "private_address"),
    ("https://[64:ff9b::a14:1]", "", " 10.20.0.0/16", ""),
    ("https://[64:ff9b::a15:1]", "", " 10.20.0.0/16", "private_address"),
    ("https://[2002:a14:1::]", "", " 10.20.0.0/16", ""),
    ("https://[fd12:3456::5efe:10.20.0.1]", "", " 10.20.0.0/16", "private_address"),
    ("https://[fd12:3456::5efe:10.20.0.1]", "", " fd12:3456::/48", "private_address"),
    ("https://[fd12:3456::5efe:10.20.0.1]", "", " fd12:3456::/48 10.20.0.0/16", ""),
    ("https://[fd12:3456::5efe:127.0.0.1]", "", " fd12:3456::/48", "loopback_address"),
    ("https://[fd12:3456::5efe:127.0.0.1]", "", "p", "loopback_address"),
    ("https://[fd12:3456::5efe:127.0.0.1]", "", "lp", ""),
    ("https://[fd12:3456::5efe:169.254.169.254]", "", "lpi fd12:3456::/48", "metadata_address"),
    ("https://api.example.test", "fd12:3456::1%1", " fd12:3456::/48", "reserved_address"),
    # Plain http to them is another matter, but for this machine.
    ("http://10.20.0.1", "", " 10.20.0.0/16", "insecure_http"),
    ("http://10.20.0.1", "", "i 10.20.0.0/16", ""),
    ("http://10.21.0.1", "", "i 10.20.0.0/16", "private_address"),
    ("http://127.0.0.1:8000", "", " 127.0.0.1/32", ""),
    ("http://127.0.0.2:8000", "", " 127.0.0.1/32", "loopback_address"),
    ("http://127.0.0.1:8000", "", " 10.20.0.0/16", "loopback_address"),
    ("http://[::1]:8000", "", " ::1/128", ""),
    ("http://[::1]:8000", "", " 127.0.0.0/8", "loopback_address"),
    ("http://[::ffff:127.0.0.1]", "", " 127.0.0.0/8", ""),
    ("http://[64:ff9b::7f00:1]", "", " 127.0.0.0/8", "insecure_http"),
    ("http://localhost:8000", "127.0.0.1 ::1", " 127.0.0.0/8 ::1/128", ""),
    ("http://localhost:8000", "127.0.0.1 ::1", " 127.0.0.0/8", "loopback_address"),
    # Metadata services: nothing allows them.
    ("http://169.254.169.254/latest/meta-data", "", "lpi", "metadata_address"),
    ("https://169.254.169.254", "", "lpi", "metadata_address"),
    ("https://169.254.170.2", "", "lpi", "metadata_address"),
    ("https://100.100.100.200", "", "lpi", "metadata_address"),
    ("https://168.63.129.16", "", "lpi", "metadata_address"),
    ("https://192.0.0.192", "", "lpi", "metadata_address"),
    ("https://[fd00:ec2::254]", "", "lpi", "metadata_address"),
    ("https://[fd20:ce::254]", "", "lpi", "metadata_address"),
    ("https://[::ffff:169.254.169.254]", "", "lpi", "metadata_address"),
    ("https://[64:ff9b::a9fe:a9fe]", "", "lpi", "metadata_address"),
    ("https://[2002:a9fe:a9fe::]", "", "lpi", "metadata_address"),
    ("https://metadata.google.internal", "93.184.216.34", "lpi", "metadata_address"),
    ("https://METADATA.google.internal.", "93.184.216.34", "lpi", "metadata_address"),
    ("https://metadata", "93.184.216.34", "lpi", "metadata_address"),
    ("https://instance-data", "93.184.216.34", "lpi", "metadata_address"),
    ("https://api.example.test", "169.254.169.254", "lpi", "metadata_address"),
    # Settings refuse these networks; a policy that has them all the same allows no more.
    ("https://169.254.169.254", "", "lpi 169.254.0.0/16", "metadata_address"),
    ("https://100.100.100.200", "", "lpi 100.64.0.0/10", "metadata_address"),
    ("https://[fd00:ec2::254]", "", "lpi fc00::/7", "metadata_address"),
    ("https://[::ffff:169.254.169.254]", "", "lpi ::ffff:0:0/96", "metadata_address"),
    ("https://169.254.1.1", "", "lpi 169.254.0.0/16", "reserved_address"),
    ("https://0.0.0.0", "", "lpi 0.0.0.0/0", "reserved_address"),
    ("https://[::]", "", "lpi ::/0", "reserved_address"),
    # What no provider can be at: nothing allows it either.
    ("https://0.0.0.0", "", "lpi", "reserved_address"),
    ("https://[::]", "", "lpi", "reserved_address"),
    ("https://169.254.1.1", "", "lpi", "reserved_address"),
    ("https://224.0.0.1", "", "lpi", "reserved_address"),
    ("https://255.255.255.255", "", "lpi", "reserved_address"),
    ("https://192.0.2.1", "", "lpi", "reserved_address"),
    ("https://198.18.0.1", "", "lpi", "reserved_address"),
    ("https://[fe80::1]", "", "lpi", "reserved_address"),
    ("https://[ff02::1]", "", "lpi", "reserved_address"),
    ("https://[fec0::1]", "", "lpi", "reserved_address"),
    ("https://[2001:db8::1]", "", "lpi", "reserved_address"),
    ("https://api.example.test", "fe80::1%1", "lpi", "reserved_address"),
    ("https://api.example.test", "2606:4700::1111%1", "lpi", "reserved_address"),
    # One bad answer spoils the name, wherever it stands.
    ("https://api.example.test", "93.184.216.34 169.254.169.254", "", "metadata_address"),
    ("https://api.example.test", "169.254.169.254 93.184.216.34", "", "metadata_address"),
    ("https://api.example.test", "93.184.216.34 10.0.0.1", "", "private_address"),
    ("https://api.example.test", "93.184.216.34 ::1", "", "loopback_address"),
    ("http://api.example.test", "127.0.0.1 93.184.216.34", "l", "insecure_http"),
    ("https://api.example.test", "93.184.216.34 0.0.0.0", "", "reserved_address"),
    # Spellings that some clients read as 127.0.0.1 or as another host never come as far as an address.
    ("http://2130706433", "", "lpi", "text"),
    ("http://0x7f000001", "", "lpi", "text"),
    ("http://0177.0.0.1", "", "lpi", "text"),
    ("http://127.1", "", "lpi", "text"),
    ("http://0", "", "lpi", "text"),
    ("http://127。0。0。1", "", "lpi", "text"),
    ("http://①②⑦.0.0.1", "", "lpi", "text"),
    ("http://[fe80::1%25eth0]", "", "lpi", "text"),
    ("http://127.0.0.1:80@evil.example", "", "lpi", "text"),
    ("http://evil.example\\@127.0.0.1", "", "lpi", "text"),
    ("http://127.0.0.1:80:90", "", "lpi", "text"),
    ("http://127.0.0.1\t.evil.example", "", "lpi", "text"),
    ("http://h..", "", "lpi", "text"),
    ("http://h:0", "", "lpi", "text"),
    ("file:///etc/passwd", "", "lpi", "text"),
    ("unix:/run/docker.sock", "", "lpi", "text"),
]


def policy(flags: str) -> AddressPolicy:
    letters, *networks = flags.split(" ")
    return AddressPolicy(
        allow_loopback="l" in letters,
        allow_private="p" in letters,
        allow_insecure_http="i" in letters,
        allowed_cidrs=tuple(ip_network(text) for text in networks),
    )


def test_the_corpus_is_no_smaller_than_promised() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize(("url", "answers", "flags", "verdict"), CORPUS)
def test_where_requests_may_go(url: str, answers: str, flags: str, verdict: str) -> None:
    if verdict == "text":
        with pytest.raises(ConfigError):
            Origin.of(url)
        return
    origin = Origin.of(url)
    refusal = policy(flags).refusal(origin, [ip_address(text) for text in (answers or origin.host).split()])
    assert (refusal.reason if refusal is not None else "") == verdict
    if refusal is not None:
        assert (refusal.kind, refusal.phase, refusal.retryable) == ("blocked", "connect", False)
        assert origin.host in refusal.message
        assert "latest" not in refusal.message


def blocked(reason: str, message: str) -> Failure:
    return fail("blocked", reason, message, phase="connect")


@pytest.mark.parametrize(
    ("url", "answers", "failure"),
    [
        (
            "https://api.example.test/v1",
            "93.184.216.34 10.0.0.1",
            blocked(
                "private_address",
                "api.example.test leads to 10.0.0.1, which is a private address; set allow_private if that is meant, or"
                " list it in allowed_cidrs.",
            ),
        ),
        (
            "https://127.0.0.1/v1",
            "127.0.0.1",
            blocked(
                "loopback_address",
                "127.0.0.1 is the local machine; set allow_loopback if that is meant, or list it in allowed_cidrs.",
            ),
        ),
        (
            "https://metadata.google.internal/v1",
            "",
            blocked(
                "metadata_address",
                "metadata.google.internal is a metadata service of a cloud, and never a provider.",
            ),
        ),
        (
            "https://api.example.test/v1",
            "fe80::1",
            blocked(
                "reserved_address",
                "api.example.test leads to fe80::1, which is link-local, multicast or reserved, and no setting allows"
                " that.",
            ),
        ),
        (
            "http://8.8.8.8/v1",
            "8.8.8.8",
            blocked(
                "insecure_http",
                "8.8.8.8 would get key and prompts unencrypted; use https://, or set allow_insecure_http.",
            ),
        ),
    ],
)
def test_a_refusal_says_what_the_address_is_and_what_would_allow_it(url: str, answers: str, failure: Failure) -> None:
    assert policy("").refusal(Origin.of(url), [ip_address(text) for text in answers.split()]) == failure


@pytest.mark.parametrize("name", list(CATALOG))
def test_each_type_reaches_this_machine_as_far_as_it_is_meant_to_run_there(name: ProviderTypeName) -> None:
    config = ProviderConfig(type=name, base_url="https://api.example.test", deployment="d", api_version="2024-10-21")
    is_local = name in ("ollama", "vllm")
    assert policy_of(resolve("p", config, {})) == policy("l" if is_local else "")


def test_the_flags_reach_the_policy() -> None:
    config = ProviderConfig(
        type="openai",
        base_url="http://10.0.0.1",
        allow_loopback=True,
        allow_private=True,
        allow_insecure_http=True,
        allowed_cidrs=("10.20.0.0/16", "::1"),
    )
    assert policy_of(resolve("p", config, {})) == policy("lpi 10.20.0.0/16 ::1/128")


def test_an_address_from_the_environment_may_be_this_machine_and_no_more() -> None:
    resolved = resolve("p", ProviderConfig(type="openai"), {"OPENAI_BASE_URL": "http://localhost:8000/v1"})
    assert policy_of(resolved) == policy("l")


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://API.example.test./v1?x=1", ("https", "api.example.test", 443), "api.example.test:443"),
        ("http://[0::1]:8000/", ("http", "::1", 8000), "[::1]:8000"),
        ("http://127.0.0.1", ("http", "127.0.0.1", 80), "127.0.0.1:80"),
    ],
)
def test_an_origin_is_what_is_connected_to(url: str, origin: tuple[str, str, int], authority: str) -> None:
    assert Origin.of(url) == origin
    assert Origin.of(url).authority == authority
