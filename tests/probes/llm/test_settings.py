"""Servers as they are configured."""

from __future__ import annotations

import pytest

from exporter.config.load import parse
from exporter.config.strict_yaml import ConfigError
from exporter.probe import Duration, Host, Schedule
from exporter.probes.llm.probe import build
from exporter.probes.llm.settings import Server, Settings

URL = "http://127.0.0.1:11434"


def configured(server: str, rest: str = "") -> str:
    return f"probes: {{llm: {{servers: [{server}]{rest}}}}}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("probes: {llm: {}}", "probes.llm.servers: missing"),
        (configured(""), "servers must name at least one"),
        (configured("{name: a}"), "url: missing"),
        (configured(f'{{name: 1a, url: "{URL}"}}'), "name must be made of letters"),
        (configured('{name: a, url: "ftp://x"}'), "url must be http:// or https://"),
        (configured('{name: a, url: "http://user:key@x"}'), "url must be http:// or https://"),
        (configured('{name: a, url: "http://x/?key=1"}'), "url must be http:// or https://"),
        (configured('{name: a, url: "http://x:0"}'), "url must be http:// or https://"),
        (configured('{name: a, url: "http://x:99999"}'), "url must be http:// or https://"),
        (configured(f'{{name: a, url: "{URL}", kind: other}}'), "kind"),
        (configured(f'{{name: a, url: "{URL}", api_key_file: key}}'), "must be an absolute path"),
        (configured('{name: a, url: "http://box:8000", api_key_file: /key}'), "by https:// alone"),
        (configured(f'{{name: a, url: "{URL}"}}, {{name: a, url: "{URL}"}}'), "two servers are named a"),
        (configured(f'{{name: a, url: "{URL}"}}', ", ttl: 14s"), "ttl must be at least 15s"),
    ],
)
def test_refuses_what_can_not_be_asked(text: str, error: str) -> None:
    """Each mistake is a line of the configuration; no key is in a URL, or goes in plain to another host."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    "server",
    [
        '{name: a, url: "http://[::1]:8080", api_key_file: /key}',
        '{name: a, url: "http://localhost:8080/base/", api_key_file: /key}',
        '{name: a, url: "https://box.example", api_key_file: /key, kind: openai}',
        '{name: a, url: "http://box:8000"}',
    ],
)
def test_takes_servers(server: str) -> None:
    """Anywhere by https, and on loopback with a key."""
    assert parse(configured(server))["llm"].servers[0].name == "a"


def test_each_server_is_a_probe_of_its_own() -> None:
    """It is the same probe as before when another is added."""
    one, two = (Server(name=name, url=URL) for name in ("one", "two"))
    first, second = build(Settings(servers=(one, two)), Host())
    assert (first.name, second.name) == ("llm:one", "llm:two")
    assert build(Settings(servers=(one,)), Host()) == [first]
    assert first.schedule == Schedule(ttl=Duration(15), wait=Duration(1), timeout=Duration(3))
    assert build(Settings(servers=(one,), ttl=Duration(60)), Host()) != [first]
