"""Where a webhook may go."""

import socket
from typing import Any

import pytest

from services.notifications.webhooks import guard


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://example.org/",
        "https://user:secret@example.org/",
        "https://example.org/#part",
        "https://",
        "https:///path",
        "https://example.org:99999/",
        "https://exa mple.org/",
        "https://example..org/",
        f"https://{'x' * 64}.example.org/",
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[64:ff9b:1::8.8.8.8]/",
        "https://[::10.0.0.1]/",
        "https://[::ffff:0:10.0.0.1]/",
        "https://[5f00::1]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://example.org/" + "a" * 2_000,
    ],
)
def test_these_are_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(guard.Forbidden, match=r"; "):
        guard.check(url, development=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://rj.example.org/hook",
        "https://example.org:8443/a?b=c",
        "https://8.8.8.8/",
        "https://[64:ff9b::8.8.8.8]/",
        "https://[2606:4700:4700::1111]/",
    ],
)
def test_these_are_taken(url: str) -> None:
    guard.check(url, development=False)


def test_a_development_stack_may_use_its_own_machine() -> None:
    guard.check("http://127.0.0.1:9999/hook", development=True)


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def getaddrinfo(*_args: object, **_more: object) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
            for address in addresses
        ]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.4", "fd00::1", "::ffff:127.0.0.1", "100.64.0.1"])
async def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    answers(monkeypatch, "93.184.216.34", address)
    with pytest.raises(guard.Forbidden):
        await guard.resolve("https://rebind.example.org/", development=False)


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "93.184.216.34")
    target = await guard.resolve("https://rj.example.org/hook?x=1", development=False)
    assert target == guard.Target("https://93.184.216.34:443/hook?x=1", "rj.example.org", "rj.example.org")


async def test_an_ipv6_address_is_written_in_brackets_and_a_port_stays_in_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "2606:2800:220:1:248:1893:25c8:1946")
    target = await guard.resolve("https://rj.example.org:8443", development=False)
    assert target.url == "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/"
    assert target.host == "rj.example.org:8443"
