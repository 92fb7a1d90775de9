import pytest

from cni_host_local import resolv_conf
from cnisdk import DNS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DNS()),
        (
            "nameserver 192.0.2.1\n   nameserver\t192.0.2.2  \n",
            DNS(nameservers=("192.0.2.1", "192.0.2.2")),
        ),
        ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n\nnameserver\n", DNS()),
        (
            "domain first.example\ndomain example.com\nsearch a.example b.example\n"
            "search c.example\noptions one two\noptions three\nnameserver 2001:db8::53\n",
            DNS(
                nameservers=("2001:db8::53",),
                domain="example.com",
                search=("a.example", "b.example", "c.example"),
                options=("one", "two", "three"),
            ),
        ),
    ],
)
def test_what_resolv_conf_says_is_what_the_result_says(text: str, expected: DNS) -> None:
    assert resolv_conf.parse(text) == expected
