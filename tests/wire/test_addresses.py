"""What kind of place an address is."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.addresses import AddressClass, classify, classify_host

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
