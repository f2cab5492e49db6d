import pytest

from carelane.kit.hosts import check_host, check_listen_address


@pytest.mark.parametrize("host", ["lab.example.org", "localhost", "db_1", "münchen.example", "10.1.2.3", "::1", "x" * 63 + ".example.", "a-b.c"])
def test_a_host_is_a_name_or_an_address(host):
    assert host == check_host(f" {host} ")


@pytest.mark.parametrize(
    "host", ["", " ", "x" * 70, "a..b", "http://lab", "lab:2575", "a b", "-lab", "lab/x", "a@b", "x." * 140, "\0", "lab\r\nx", "[::1]", "%eth0"]
)
def test_what_can_be_no_host_is_refused(host):
    with pytest.raises(ValueError, match="write a host name"):
        check_host(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "fe80::1%eth0", "localhost"])
def test_a_source_listens_on_an_address_of_this_machine(address):
    assert address == check_listen_address(address)


@pytest.mark.parametrize("address", ["lab.example.org", "", "x" * 70, "256.1.1.1", "slow.example"])
def test_a_name_is_no_address_to_listen_on(address):
    with pytest.raises(ValueError, match="address of this machine"):
        check_listen_address(address)
