"""Webhooks as people write them: URLs, events, secrets; what is wrong is named, and no secret is shown."""

from __future__ import annotations

import base64
import json

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.settings_sources import load_settings
from i2v.core.webhook import ENDINGS, Webhook, host_of, origin_of, secret_bytes

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
URL = "https://hooks.example/i2v"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (URL, URL),
        (" https://Hooks.EXAMPLE:443 ", "https://hooks.example/"),
        ("http://hooks.example:8080/a?b=c", "http://hooks.example:8080/a?b=c"),
        ("https://[2001:DB8:0::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://xn--mnchen-3ya.example/%E4", "https://xn--mnchen-3ya.example/%E4"),
    ],
)
def test_an_address_is_kept_in_its_usual_form(given: str, kept: str) -> None:
    assert Webhook.parse({"url": given}).url == kept


@pytest.mark.parametrize(
    "given",
    [
        "", "hooks.example", "/hook", "ftp://hooks.example/", "file:///etc/passwd", "gopher://a/", "https://",
        "javascript:alert(1)", "https:///x", "https://me:secret@hooks.example/", "https://hooks.example/#a",
        "https://hooks.example:0/", "https://hooks.example:99999/", "https://hooks.example:x/", "https://[::1/",
        "https://1.2.3/", "https://2130706433/", "https://127.1/", "https://hooks.example\\@evil/",
        "https://a b/",
        "https://münchen.example/", "https://a.example/\r\nX-Evil: 1", "https://a.example/\0", "x" * 3000,
        f"https://a.example/{'x' * 2000}", None, 5, ["https://a.example/"],
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Webhook.parse({"url": given})
    assert caught.value.params["field"] == "webhook.url"
    assert "https://hooks.example/i2v" in caught.value.message


def test_all_that_ends_a_job_is_reported_unless_events_are_chosen() -> None:
    assert Webhook.parse({"url": URL}).events == ENDINGS
    chosen = Webhook.parse({"url": URL, "events": ["job.started", "job.started", "job.deleted"]})
    assert chosen.events == ("job.started", "job.deleted")
    for events in ([], ["started"], "job.exploded", [5], {}):
        with pytest.raises(InvalidRequest) as caught:
            Webhook.parse({"url": URL, "events": events})
        assert caught.value.params["field"] == "webhook.events"


@pytest.mark.parametrize("secret", [
    "whsec_", "whsec_c2hvcnQ=", SECRET[6:], SECRET + "!", "whsec_" + "A" * 200, 5, ["very", "secret-thing"],
    {"very": "secret-thing"},
])  # fmt: skip
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Webhook.parse({"url": URL, "secret": secret})
    assert caught.value.params["field"] == "webhook.secret"
    assert caught.value.params["value"] == "(not shown)"
    assert "secret-thing" not in str(caught.value.to_dict())


def test_a_secret_is_hidden_wherever_it_might_be_shown_and_kept_where_it_must_be() -> None:
    webhook = Webhook.parse({"url": URL, "secret": SECRET})
    assert secret_bytes(SECRET) == bytes(range(32))
    assert SECRET not in f"{webhook!r} {webhook} {webhook.model_dump()}"
    assert Webhook.model_validate_json(webhook.model_dump_json()) == webhook
    with pytest.raises(InvalidRequest) as caught:
        Webhook.parse({"url": URL, "secret": SECRET, "sekret": SECRET})
    assert SECRET not in str(caught.value.to_dict())


def test_forms_have_it_as_text() -> None:
    assert Webhook.parse(json.dumps({"url": URL})) == Webhook.parse({"url": URL})
    for given in ("", "{", URL, "[]", "null", 5, [], "[" * 100_000):
        with pytest.raises(InvalidRequest) as caught:
            Webhook.parse(given)
        assert caught.value.params["field"] == "webhook"
    with pytest.raises(InvalidRequest) as caught:
        Webhook.parse({})
    assert (caught.value.code, caught.value.params["field"]) == ("request.missing_field", "webhook.url")


def test_its_host_is_what_is_connected_to_and_its_origin_what_is_shown() -> None:
    assert host_of("http://hooks.example/a") == ("http", "hooks.example", 80)
    assert host_of("https://[2001:db8::1]:8443/") == ("https", "2001:db8::1", 8443)
    assert origin_of("https://hooks.example:8443/services/T0/SECRET?key=1") == "https://hooks.example:8443"


def test_settings_have_a_list_of_them() -> None:
    text = json.dumps([{"url": URL, "secret": SECRET}, {"url": "http://b.example", "events": "job.failed"}])
    first, second = load_settings(environ={"I2V_WEBHOOKS__ENDPOINTS": text}).webhooks.endpoints
    assert first.secret is not None
    assert first.secret.get_secret_value() == SECRET
    assert (second.url, second.events, second.secret) == ("http://b.example/", ("job.failed",), None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f'[{{"url": "{URL}", "secret": "whsec_verysecret"}}]', "24 to 64"),
        (f'[{{"url": "{URL}", "sekret": "verysecret"}}]', "url, events and secret"),
        ('[{"url": "ftp://verysecret.example"}]', "begins with https"),
        (f'[{{"url": "{URL}"}}, {{"url": "{URL}"}}]', "stands twice"),
        ("verysecret", "a list"),
    ],
)
def test_a_wrong_one_in_the_settings_is_named_and_not_shown(value: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings(environ={"I2V_WEBHOOKS__ENDPOINTS": value})
    assert str(caught.value.params["key"]).startswith("webhooks.endpoints")
    assert reason in caught.value.message
    assert "verysecret" not in str(caught.value.to_dict())


def test_hosts_that_are_allowed_are_names_addresses_and_networks() -> None:
    given = {"I2V_WEBHOOKS__ALLOWED_HOSTS": "N8N.lan, 192.168.1.0/24, 10.0.0.7, ::1"}
    allowed = load_settings(environ=given).webhooks.allowed_hosts
    assert allowed == ("n8n.lan", "192.168.1.0/24", "10.0.0.7", "::1")
    for wrong in ("0.0.0.0/0", "192.168.1.7/24", "http://n8n.lan", "*"):
        with pytest.raises(InvalidRequest):
            load_settings(environ={"I2V_WEBHOOKS__ALLOWED_HOSTS": wrong})
