"""The kinds of values that settings have, each read in the forms that people write.

A function here returns the value as the rest of i2v wants it, or raises `ValueError` with what is allowed: a
value that could never match anything is refused, not kept. Knows no setting by name, no file, no variable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from i2v.core.fields import clean_text, shown
from i2v.core.file_names import check_pattern

# What addresses of ours begin with; a prefix that does so too could not be told from them.
OWN_SEGMENTS = frozenset(
    (
        *("api", "docs", "generate", "healthz", "login", "logout", "mcp", "metrics", "once", "openapi.json"),
        *("predictions", "readyz", "v1"),
        *("assets", "config", "favicon.ico", "gradio_api", "manifest.json", "robots.txt", "static", "svelte"),
        "theme.css",
    )
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,]*?))\s*(?:,|$)""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def text(value: object) -> str:
    if not isinstance(value, str):  # YAML: 2025 is a number, and yes is true
        raise ValueError("a text; put it in quotes if it looks like something else")
    return str(clean_text(value))


def prefix(value: object) -> str:
    given = text(value)
    if len(given) > 64 or not given.isprintable() or set(given) & set("/\\"):
        raise ValueError("at most 64 printable characters, neither / nor \\ among them")
    return given


def name_pattern(value: object) -> str:
    return check_pattern(text(value))


def switch(value: object) -> object:
    """Return "off" for what YAML makes of a bare off."""
    return "off" if value is False else value


def devices(value: object) -> str | tuple[int, ...]:
    """Return "auto", "cpu", or the numbers of GPUs, each once and in their order."""
    if value in ("auto", "cpu"):
        return str(value)
    names = [value] if isinstance(value, int) else _split_text(value) if isinstance(value, str) else value
    allowed = "auto, cpu, or a list of the numbers that nvidia-smi gives GPUs, such as [0, 2]"
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(allowed)
    numbers = [str(name).strip() for name in names]
    if any(isinstance(name, bool) for name in names) or not all(map(_is_device_number, numbers)):
        raise ValueError(allowed)
    return tuple(sorted({int(number) for number in numbers}))


def _is_device_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,2}", text) is not None


def check_token(token: str) -> None:
    """Raise `ValueError` with what is allowed, unless `token` is hard enough to guess and easy to send."""
    if not (16 <= len(token) <= 200 and token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("16 to 200 printable ASCII characters without spaces")


def token(value: object) -> str:
    given = text(value)
    if given:
        check_token(given)
    return given


# --- lists


def split(value: object) -> tuple[str, ...]:
    """Return the texts of a list; one text, as the environment has it, may be a,b or [a, b] or ["a", "b"]."""
    names = _split_text(value) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("a list of texts, or one text with commas; [] for none")
    return tuple(name.strip() for name in names if name.strip())


def _split_text(given: str) -> list[str]:
    inner = given.strip()
    if inner.startswith("[") and _closing(inner) == len(inner) - 1:
        inner = inner[1:-1]
    items = [found[1] or found[2] or found[3] or "" for found in _items(inner)]
    if any(item[:1] in {'"', "'"} or item.count("[") != item.count("]") for item in items):
        raise ValueError("a list whose quotes and brackets close, such as a,b or [a, b]")
    return items


def _items(inner: str) -> Iterable[re.Match[str]]:
    place = 0
    while place < len(inner):
        found = _ITEM.match(inner, place)
        assert found is not None  # its third way matches everything up to a comma
        yield found
        place = found.end()


def _closing(given: str) -> int:
    """Return where the bracket closes that `given` begins with; -1 if it does not."""
    depth = 0
    for place, letter in enumerate(given):
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return place
    return -1


def each(read: Callable[[str], str]) -> Callable[[object], tuple[str, ...]]:
    """Return a function that reads a list with `read` for each of its texts, none twice."""
    return lambda value: tuple(dict.fromkeys(read(item) for item in split(value)))


# --- folders


def folder(value: object) -> Path:
    if not isinstance(value, Path):  # `absolute` makes one of all that can be a path
        raise ValueError("the path of a folder")
    return value


def folders(value: object) -> tuple[Path, ...]:
    if not isinstance(value, tuple) or not all(isinstance(path, Path) for path in value):
        raise ValueError("a list of folders' paths, or one text with commas; [] for none")
    return value


def absolute(value: object, base: Path, environ: Mapping[str, str]) -> object:
    """Return the path below `base`, with ~ and variables expanded; what is no path stays as it is.

    Raises:
        ValueError: a text that can be meant for no folder of this machine, or a variable that is not set.
    """
    if not isinstance(value, str | Path):
        return value
    given = str(value).strip()
    try:
        clean_text(given)
    except ValueError:
        return value
    if not given:
        return value
    if _SCHEME.match(given) or re.match(r"[A-Za-z]:[\\/]", given) or not given.isprintable():
        raise ValueError("the path of a folder on this machine, such as /data/clips")
    try:
        return base.absolute() / Path(expand(given, environ)).expanduser()
    except RuntimeError:  # the home of a user who does not exist
        return value


def absolutes(value: object, base: Path, environ: Mapping[str, str]) -> object:
    """Return the paths below `base`. Raises `ValueError` for what is no list of texts or paths."""
    if isinstance(value, list | tuple):  # of paths: from a caller in Python
        value = tuple(str(name) if isinstance(name, Path) else name for name in value)
    names = split(value)
    if isinstance(value, str) and any(re.search(r":[/~$]", name) for name in names):
        raise ValueError("folders' paths with commas between them, not colons")
    return tuple(absolute(name, base, environ) for name in names)


def expand(given: str, environ: Mapping[str, str]) -> str:
    """Replace $NAME and ${NAME}; $$ stands for a dollar sign. Raises `ValueError`, naming the variable."""

    def value_of(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1] if found[2] is None else found[2]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"a variable is written as ${{NAME}}, not as {shown(found[0])}")
        known = environ.get(name) or ("~" if name == "HOME" and found.start() == 0 else "")
        if not known:  # an empty one would make /clips of $DATA/clips
            raise ValueError(f"the variable {shown(name)} is not set; write $$ for a dollar sign")
        return known

    return _VARIABLE.sub(value_of, given)


# --- hosts and addresses


def source(given: str) -> str:
    try:
        return given if given == "modelscope" else endpoint(given)
    except ValueError:
        raise ValueError("a list of addresses such as https://huggingface.co, or modelscope") from None


def endpoint(value: object) -> str:
    """Check the address of a hub; nothing stands for none."""
    given = text(value).strip().rstrip("/")
    if given and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", given):
        raise ValueError("an address such as https://huggingface.co, without a password in it")
    return given


def listening_host(value: object) -> str:
    """Check what a server is to listen at: a name or an address of this machine."""
    given = text(value).strip()
    address, percent, zone = given.removeprefix("[").removesuffix("]").partition("%")
    name = _name(address)
    if name is None or (percent and not zone.isalnum()):
        allowed = (
            "127.0.0.1 for this machine alone, 0.0.0.0 for the network, or a name; the port: server.port"
        )
        raise ValueError(allowed)
    return f"{name}{percent}{zone}"


def machine(value: object) -> str:
    """Check one address or name of this machine, at which others reach it: not all of them at once."""
    name = _name(text(value).strip())
    if name is None or name in ("0.0.0.0", "::"):
        raise ValueError("127.0.0.1 for this machine alone, or the machine's address in a private network")
    return name


def address(value: object) -> str:
    """Check a host with its port, or ""."""
    given = text(value).strip()
    name, _, port = given.rpartition(":")
    bare = name.removeprefix("[").removesuffix("]")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535
    if given and (_name(bare) is None or not is_port):
        raise ValueError("HOST:PORT such as 192.168.1.10:6379, or empty")
    return given


def host(given: str) -> str:
    """Return the name or address as browsers send it as their host, but for the port."""
    name = _name(given)
    if name is None:
        bare = _without_the_rest(given)
        fix = f"write {bare} instead of {shown(given)}" if bare else f"{shown(given)} is none"
        raise ValueError(f"names such as studio.example, without scheme, port, path or *: {fix}")
    return name


def _without_the_rest(given: str) -> str | None:
    """Return the host of an address or of `host:port`, if there is one in it."""
    place = re.split(r"[/?#]", _SCHEME.sub("", given))[0].rpartition("@")[2]
    return _name(re.sub(r":\d*$", "", place))


def origin(given: str) -> str:
    """Return the origin as browsers send it."""
    found = re.fullmatch(
        r"([a-z][a-z0-9+.-]*)://(\[[^\[\]]+\]|[^\[\]:/?#@\s]+)(?::(\d{1,5}))?/?", given.lower()
    )
    name = _name(found[2]) if found else None
    if found is None or name is None or found[1] == "file" or int(found[3] or 0) > 65535:
        allowed = "origins such as https://studio.example or http://localhost:5173, without path or *"
        raise ValueError(f"{allowed}: {shown(given)} is none")
    port = "" if found[3] in (None, _DEFAULT_PORTS.get(found[1])) else f":{int(found[3])}"
    return f"{found[1]}://{f'[{name}]' if ':' in name else name}{port}"


def network(given: str) -> str:
    """Return an address or a network of addresses, in the usual form."""
    try:
        found = ipaddress.ip_network(given)
    except ValueError:
        raise ValueError(
            "addresses or networks such as 127.0.0.1, 10.0.0.0/8 or fd00::/8:"
            f" {_wider(given) or f'{shown(given)} is none'}"
        ) from None
    if found.prefixlen == 0:
        raise ValueError(f"the addresses that are meant: {shown(given)} would be everybody's")
    return str(found.network_address) if found.num_addresses == 1 else str(found)


def host_or_network(given: str) -> str:
    """Return a name, an address or a network of addresses, each in the usual form."""
    try:
        ipaddress.ip_network(given, strict=False)
    except ValueError:
        return host(given)
    return network(given)


def _wider(given: str) -> str | None:
    try:
        return f"write {ipaddress.ip_network(given, strict=False)} instead of {shown(given)}"
    except ValueError:
        return None


def root_path(value: object) -> str:
    """Return the path below which a proxy publishes the service: "" or /a or /a/b."""
    given = text(value).strip()
    parts = given.strip("/").split("/") if given.strip("/") else []
    if not all(is_segment(part) for part in parts):
        raise ValueError("a path such as /i2v, of letters, digits and . _ ~ -, without scheme and host")
    if parts and parts[0] in OWN_SEGMENTS:
        raise ValueError(f"a path such as /i2v; /{parts[0]} is one of the service's own")
    return "".join(f"/{part}" for part in parts)


def is_segment(part: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._~-]+", part) is not None and part not in (".", "..")


def _name(given: str) -> str | None:
    """Return a name in small letters and ASCII, or an address in the usual form; `None` if it is neither."""
    try:
        return str(ipaddress.ip_address(given.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass  # no address: perhaps a name
    try:
        name = given.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = name.split(".")
    is_name = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return name if is_name and not labels[-1].isdigit() else None  # 1.2.3 is neither
