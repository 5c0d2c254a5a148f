"""What kind of place an address is."""

import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.addresses import AddressClass, allowed_networks, classify, classify_host, read_network

TABLE: dict[AddressClass, str] = {
    "public": "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.167.1.1 2606:4700::1111"
    " 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:0808:0808::1",
    "loopback": "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::"
    " 2606:4700::5efe:7f00:1 2606:4700::200:5efe:7f00:1 localhost LOCALHOST. api.localhost",
    "private": "10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 fc00::1 fdff::1 ::ffff:10.0.0.1"
    " 64:ff9b::a00:1 64:ff9b:1::10.0.0.1 64:ff9b:1:a00:0:100:: 2002:c0a8:101::1",
    "never": "0.0.0.0 0.1.2.3 :: 169.254.1.1 fe80::1 fe80::1%eth0 fec0::1 224.0.0.1 ff02::1 255.255.255.255 240.0.0.1"
    " 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 100::1 2001::1 2001:db8::1 3fff::1 5f00::1"
    " ::ffff:0.0.0.0 64:ff9b::a9fe:101",
    "metadata": "169.254.169.254 169.254.170.2 169.254.170.23 169.254.42.42 100.100.100.200 168.63.129.16 192.0.0.192"
    " fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe"
    " 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 64:ff9b:1::a9fe:a9fe 2001:0:808:808::5601:5601"
    " metadata.google.internal METADATA.google.internal. metadata instance-data",
}


@pytest.mark.parametrize(("host", "kind"), [(host, kind) for kind, hosts in TABLE.items() for host in hosts.split()])
def test_a_host_is_of_the_class_that_its_text_says(host: str, kind: AddressClass) -> None:
    assert classify_host(host) == kind
    assert classify_host(f"[{host}]") == kind


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "127.1", "0x7f000001", "", "metadata.example"]
)
def test_a_name_says_nothing_before_it_is_resolved(host: str) -> None:
    assert classify_host(host) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.ip_addresses(v=4))
def test_no_wrapping_makes_an_address_less_suspect(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    wrapped = [
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        str(ipaddress.IPv6Address(0x2002 << 112 | number << 80)),
        str(ipaddress.IPv6Address(0x2606 << 112 | 0x5EFE << 32 | number)),
    ]
    assert [classify_host(text) for text in wrapped] == [classify(address)] * len(wrapped)


# Networks that are allowed on their own.


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("100.64.0.0/11", "100.64.0.0/11"),
        ("127.0.0.0/8", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::1", "::1/128"),
        ("FD12:3456:0::/48", "fd12:3456::/48"),
        ("fd12::10.0.0.0/120", "fd12::a00:0/120"),
    ],
)
def test_private_and_loopback_networks_can_be_listed(text: str, network: str) -> None:
    assert read_network(text) == ipaddress.ip_network(network)


SHAPE = "must be a network such as 10.20.0.0/16 or fd12:3456::/48, or one address"
ZONE = "has a zone id; leave out the % and what follows it"
METADATA = "a metadata service of a cloud, and no setting allows that; list networks without it"
NEVER = (
    "holds link-local, multicast or reserved addresses, and no setting allows those;"
    " list the private networks that are meant"
)
PUBLIC = "holds public addresses, which are allowed anyway; list private and loopback networks alone"
WRAPPING = (
    "holds addresses that wrap IPv4 addresses;"
    " list the IPv4 networks that are meant, which hold however they are wrapped"
)
MAPPED = "spells IPv4 addresses as IPv6 ones; write {}, which holds for both spellings"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *(
            (text, SHAPE)
            for text in (
                "", "x", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-8", "10.0.0.0/08", "10.0.0.0/8/8", "10/8",
                "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "010.0.0.0/8", "0xa000000/8", "167772160",
                " 10.0.0.0/8", "10.0.0.0/8\n", "[::1]", "[fd12::]/16", "fd12::/129", "\u0661\u0660.0.0.0/8",
                "10.0.0.0-10.0.0.9", "10.*", "localhost",
            )
        ),
        ("fd12::1%eth0", ZONE),
        ("fe80::%1/64", ZONE),
        ("10.1.2.3/16", "has bits set beyond its prefix; write 10.1.0.0/16, or 10.1.2.3 for that one address"),
        ("fd12::1/64", "has bits set beyond its prefix; write fd12::/64, or fd12::1 for that one address"),
        ("::ffff:10.0.0.0/104", "::ffff:a00:0/104 " + MAPPED.format("10.0.0.0/8")),
        ("::ffff:127.0.0.1", "::ffff:7f00:1/128 " + MAPPED.format("127.0.0.1/32")),
        ("::ffff:169.254.169.254", "::ffff:a9fe:a9fe/128 " + MAPPED.format("169.254.169.254/32")),
        ("::ffff:0:0/96", "::ffff:0:0/96 " + MAPPED.format("0.0.0.0/0")),
        ("64:ff9b::10.0.0.0/104", f"64:ff9b::a00:0/104 {WRAPPING}"),
        ("64:ff9b:1::/48", f"64:ff9b:1::/48 {WRAPPING}"),
        ("2002:a00::/24", f"2002:a00::/24 {WRAPPING}"),
        ("::127.0.0.1", f"::7f00:1/128 {WRAPPING}"),
        ("169.254.169.254", f"169.254.169.254/32 holds 169.254.169.254, {METADATA}"),
        ("168.63.129.16", f"168.63.129.16/32 holds 168.63.129.16, {METADATA}"),
        ("100.64.0.0/10", f"100.64.0.0/10 holds 100.100.100.200, {METADATA}"),
        ("fc00::/7", f"fc00::/7 holds fd00:42::42, {METADATA}"),
        ("fd00:ec2::/32", f"fd00:ec2::/32 holds fd00:ec2::23, {METADATA}"),
        ("0.0.0.0/0", f"0.0.0.0/0 holds 100.100.100.200, {METADATA}"),
        ("::/0", f"::/0 holds fd00:42::42, {METADATA}"),
        ("169.254.0.0/24", f"169.254.0.0/24 {NEVER}"),
        ("0.0.0.0", f"0.0.0.0/32 {NEVER}"),
        ("::", f"::/128 {NEVER}"),
        ("::/127", f"::/127 {NEVER}"),
        ("fe80::/64", f"fe80::/64 {NEVER}"),
        ("224.0.0.1", f"224.0.0.1/32 {NEVER}"),
        ("2001::/32", f"2001::/32 {NEVER}"),
        ("8.8.8.0/24", f"8.8.8.0/24 {PUBLIC}"),
        ("10.0.0.0/7", f"10.0.0.0/7 {PUBLIC}"),
        ("126.0.0.0/7", f"126.0.0.0/7 {PUBLIC}"),
        ("2606:4700::/32", f"2606:4700::/32 {PUBLIC}"),
    ],
)  # fmt: skip
def test_what_cannot_be_listed_says_what_to_write(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_network(text)


def test_localhost_is_to_be_resolved_where_some_of_this_machine_is_allowed() -> None:
    assert classify_host("localhost", allowed_networks(loopback=False, private=True)) == "loopback"
    assert classify_host("localhost", allowed_networks(loopback=True, private=False)) is None
    for text in ("127.0.0.1", "127.9.0.0/16", "::1"):
        assert classify_host("api.localhost", [read_network(text)]) is None
    assert classify_host("127.0.0.1", [read_network("127.0.0.1")]) == "public"
    assert classify_host("127.0.0.2", [read_network("127.0.0.1")]) == "loopback"
