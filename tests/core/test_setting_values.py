"""i2v.core.setting_values: what people write is read, and what could never match is refused with the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from i2v.core import setting_values as kinds
from i2v.core.setting_values import OWN_SEGMENTS


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ("[a, b]", ("a", "b")),
        ('["a","b"]', ("a", "b")),
        ("['a', \"b\"]", ("a", "b")),
        ('"a","b"', ("a", "b")),
        ('["a, b", c]', ("a, b", "c")),
        ("[]", ()),
        ("", ()),
        (" , ", ()),
        ("[::1]", ("::1",)),
        ("[::1], a", ("[::1]", "a")),
        ("[[::1], [::2]]", ("[::1]", "[::2]")),
        ("/home/o'brien", ("/home/o'brien",)),
        (["a", " b "], ("a", "b")),
        ([], ()),
    ],
)
def test_a_list_is_read_in_the_forms_that_people_write(given: object, read: tuple[str, ...]) -> None:
    assert kinds.split(given) == read


def test_off_is_off_though_yaml_reads_false() -> None:
    assert [kinds.switch(given) for given in (False, "off", "auto", True)] == ["off", "off", "auto", True]


@pytest.mark.parametrize("given", ["[a, b", "a, b]", '["a", b', "'a", None, 5, [1], {"a": 1}, [["a"]]])
def test_what_is_no_list_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="a list"):
        kinds.split(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("studio", "studio"),
        ("Studio.Example", "studio.example"),
        ("studio.example.", "studio.example"),
        ("my_box", "my_box"),
        ("影.example", "xn--p3t.example"),
        ("192.168.1.7", "192.168.1.7"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_a_host_is_kept_as_browsers_send_it(given: str, name: str) -> None:
    assert kinds.host(given) == name


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("https://x", "write x instead of https://x"),
        ("https://x:8443/i2v/", "write x instead of"),
        ("x:8443", "write x instead of x:8443"),
        ("[::1]:80", "write ::1 instead of"),
        ("x/", "write x instead of"),
        ("user@x", "write x instead of"),
        ("a b", "a b is none"),
        ("*", "\\* is none"),
        ("*.example", "\\*.example is none"),
        (".example", "is none"),
        ("a..b", "is none"),
        ("-a", "is none"),
        ("1.2.3", "is none"),
        ("10.0.0.0/8", "without scheme"),
        ("x;y", "is none"),
        ("a" * 64, "is none"),
    ],
)
def test_a_host_that_no_request_can_name_is_refused_with_the_fix(given: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        kinds.host(given)


@pytest.mark.parametrize(
    "given", ["127.0.0.1", "0.0.0.0", "::", "[::]", "localhost", "fe80::1%eth0", "box.lan"]
)
def test_a_server_listens_at_a_name_or_an_address(given: str) -> None:
    assert kinds.listening_host(given) == given.strip("[]")


@pytest.mark.parametrize(
    "given",
    ["", " ", "*", "http://0.0.0.0", "0.0.0.0:7860", "[::]:7860", "0", "127.1", "a/b", "0.0.0.0,::", 0],
)
def test_a_server_does_not_listen_at_anything_else(given: object) -> None:
    with pytest.raises(ValueError, match=r"server\.port|a text"):
        kinds.listening_host(given)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://App.example", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, read: str) -> None:
    assert kinds.origin(given) == read


@pytest.mark.parametrize(
    "given",
    ["*", "null", "app.example", "https://*.example", "https://a/b", "https://u@a", "https://", "file://",
     "https://a:99999", "https://a?b", "//a", "https://a b"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is none"):
        kinds.origin(given)


@pytest.mark.parametrize(
    ("given", "read"),
    [("127.0.0.1", "127.0.0.1"), ("10.0.0.0/8", "10.0.0.0/8"), ("FD00::/8", "fd00::/8"), ("::1/128", "::1")],
)
def test_a_proxy_is_an_address_or_a_network(given: str, read: str) -> None:
    assert kinds.network(given) == read


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8 instead"),
        ("nginx", "nginx is none"),
        ("localhost", "is none"),
        ("*", "is none"),
        ("127.0.0.1:80", "is none"),
        ("0.0.0.0/0", "everybody"),
        ("::/0", "everybody"),
    ],
)
def test_what_is_no_network_of_proxies_is_refused_with_the_fix(given: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        kinds.network(given)


@pytest.mark.parametrize(
    ("given", "read"), [("", ""), ("/", ""), ("/i2v", "/i2v"), ("i2v/", "/i2v"), ("/a/b-1/", "/a/b-1")]
)
def test_a_root_path_has_one_form(given: str, read: str) -> None:
    assert kinds.root_path(given) == read


@pytest.mark.parametrize(
    "given",
    ["https://x/i2v", "//evil.example", "/a//b", "/a b", "/a?b", "/..", "/a/./b", "/%41", "/片", "/a\\b"],
)
def test_what_is_no_root_path_is_refused(given: str) -> None:
    if given == "//evil.example":  # a path as well; it cannot lead to another host
        assert kinds.root_path(given) == "/evil.example"
        return
    with pytest.raises(ValueError, match="a path such as"):
        kinds.root_path(given)


@pytest.mark.parametrize("segment", sorted(OWN_SEGMENTS))
def test_a_root_path_that_is_an_address_of_ours_is_refused(segment: str) -> None:
    with pytest.raises(ValueError, match="one of the service's own"):
        kinds.root_path(f"/{segment}/x")


ENVIRON = {"DATA": "/data", "NAME": "clips", "EMPTY": "", "HOME": "/home/me"}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("clips", "/base/clips"),
        (" /clips ", "/clips"),
        ("$DATA/clips", "/data/clips"),
        ("${DATA}x/${NAME}", "/datax/clips"),
        ("$HOME/clips", "/home/me/clips"),
        ("/a/$$b", "/a/$b"),
        ("/a/$5", "/a/$5"),
    ],
)
def test_paths_are_expanded_and_made_absolute(given: str, path: str) -> None:
    assert kinds.absolute(given, Path("/base"), ENVIRON) == Path(path)


def test_home_is_known_without_its_variable() -> None:
    assert kinds.absolute("$HOME/clips", Path("/base"), {}) == Path.home() / "clips"


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("$NOWHERE/clips", "the variable NOWHERE is not set"),
        ("${EMPTY}/clips", "the variable EMPTY is not set"),
        ("${DATA:-/x}", "written as"),
        ("${}", "written as"),
        ("s3://bucket/clips", "on this machine"),
        ("file:///clips", "on this machine"),
        ("C:\\clips", "on this machine"),
        ("/clips\r", None),
        ("/cl\rips", "on this machine"),
    ],
)
def test_a_path_that_would_be_another_one_is_refused(given: str, fix: str | None) -> None:
    if fix is None:
        assert kinds.absolute(given, Path("/base"), ENVIRON) == Path("/clips")
        return
    with pytest.raises(ValueError, match=fix):
        kinds.absolute(given, Path("/base"), ENVIRON)


def test_folders_have_commas_between_them() -> None:
    assert kinds.absolutes("[/a, $DATA]", Path("/base"), ENVIRON) == (Path("/a"), Path("/data"))
    assert kinds.absolutes(["/a:/b"], Path("/base"), ENVIRON) == (Path("/a:/b"),)  # a name, in a real list
    with pytest.raises(ValueError, match="not colons"):
        kinds.absolutes("/a:/b", Path("/base"), ENVIRON)


@pytest.mark.parametrize(
    "read", [kinds.text, kinds.prefix, kinds.name_pattern, kinds.token, kinds.endpoint, kinds.root_path]
)
@pytest.mark.parametrize("given", [None, 5, True, ["a"], {"a": 1}])
def test_what_is_no_text_is_refused(read: Callable[[object], str], given: object) -> None:
    with pytest.raises(ValueError, match="a text"):
        read(given)


@pytest.mark.parametrize("given", ["", "192.168.1.10:6379", "[::1]:6379", "studio:1", "studio:65535"])
def test_an_address_of_ray_has_a_port_that_there_is(given: str) -> None:
    assert kinds.address(given) == given


@pytest.mark.parametrize(
    "given", ["studio", ":6379", "studio:0", "studio:65536", "studio:²", "ray://studio:1"]
)
def test_any_other_address_of_ray_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        kinds.address(given)
