"""Which addresses a model's requests may reach."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import ToolError
from perdure.tools.web.addresses import Guard, Permitted, is_public, look_up

PRIVATE = [
    "0.0.0.0",  # noqa: S104 - what must be refused
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::",
    "3fff::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_special_addresses_are_not_public(address: str) -> None:
    """Loopback, private, link-local, metadata, multicast, reserved, and those wrapped in IPv6."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_other_addresses_are_public(address: str) -> None:
    """Also when an IPv6 address wraps them."""
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_changes_nothing(address: IPv4Address) -> None:
    """Mapped, translated or tunnelled, it is where the IPv4 address is."""
    number = int(address)
    wrapped = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(0x2002 << 112 | number << 80),
    ]
    assert {is_public(each) for each in wrapped} == {is_public(address)}


@given(st.ip_addresses(v=6))
def test_ipv6_is_public_where_it_was_given_to_someone(address: IPv6Address) -> None:
    """Outside 2000::/3 only an address that wraps another one can be."""
    wraps = address.ipv4_mapped or address in IPv6Network("64:ff9b::/96")
    assert wraps or address in IPv6Network("2000::/3") or not is_public(address)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "::1"],
)
async def test_every_spelling_of_a_private_address_is_refused(host: str) -> None:
    """The system's own reading of it is what counts."""
    with pytest.raises(ToolError, match=r"is no public address.*PERDURE_FETCH_ALLOW"):
        await Guard().addresses(host)


async def test_one_private_address_among_several_is_enough() -> None:
    """Else a host could name a public one beside the one that it means."""

    async def both(host: str) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(ToolError, match=r"'host.test' is at 10.0.0.1"):
        await Guard(look_up=both).addresses("host.test")


@pytest.mark.parametrize("host", ["host.invalid", "a" * 70, "a..b", "exa%20mple.com"])
async def test_a_host_that_is_nowhere_is_explained(host: str) -> None:
    """Names that do not exist, and names that cannot."""
    with pytest.raises(ToolError, match="No address is known for"):
        await Guard().addresses(host)


async def test_an_operator_permits_hosts_and_networks() -> None:
    """A host by name, wherever it is; a network for whatever is in it."""
    permitted = Permitted.parse("LOCALHOST., 10.0.0.0/8, ::1")
    assert await Guard(permitted).addresses("localhost")
    assert await Guard(permitted).addresses("10.1.2.3") == ["10.1.2.3"]
    assert await Guard(permitted).addresses("::1") == ["::1"]
    with pytest.raises(ToolError, match="no public address"):
        await Guard(permitted).addresses("127.0.0.1")


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "http://host", "host:80", "a b"])
def test_what_is_neither_host_nor_network_is_refused(entry: str) -> None:
    """An operator's slip would otherwise permit nothing, in silence."""
    with pytest.raises(ValueError, match="neither a host's name nor a network"):
        Permitted.parse(f"10.0.0.1,{entry}")


async def test_the_system_is_asked() -> None:
    """Each address once, whatever it can be used for."""
    assert await look_up("127.0.0.1") == ["127.0.0.1"]
