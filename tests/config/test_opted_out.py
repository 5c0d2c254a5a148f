"""Settings that let requests go further are told where operators look, once each."""

from structlog.testing import capture_logs

from nexus3 import ProviderConfig, open_supervisor
from nexus3.loopback import open_loopback
from nexus3.testing import crash
from tests.secrets.canary import KEYS

KEY = KEYS["openai"]


async def test_each_is_told_once_when_its_settings_are_read() -> None:
    with capture_logs() as lines:
        async with open_loopback() as server:
            settings = {
                "type": "openai",
                "base_url": f"{server.url}/v1",
                "api_key": KEY,
                "allow_loopback": True,
                "allowed_cidrs": ["10.20.0.0/16"],
                "proxy": f"http://operator:{KEY}@127.0.0.1:9",
            }
            plain = {"type": "ollama", "base_url": f"{server.url}/ollama/v1"}
            async with open_supervisor({"providers": {"p": settings, "q": plain}}) as sup:
                crash(sup, "p")
                await sup.watch("p").receive()
                await sup.add_provider("r", ProviderConfig(type="vllm", base_url=server.url, allow_private=True))
                await sup.reconfigure("q", ProviderConfig(type="ollama", base_url=server.url, allow_insecure_http=True))
    told = [line for line in lines if line["event"] == "actor.opted_out"]
    assert [(line["actor"], line["setting"], line["allows"]) for line in told] == [
        ("p", "allow_loopback", "this machine"),
        ("p", "allowed_cidrs", "10.20.0.0/16"),
        ("p", "proxy", "whatever addresses the proxy finds for 127.0.0.1"),
        ("r", "allow_private", "all private networks"),
        ("q", "allow_insecure_http", "plain http to every address that is allowed"),
    ]
    assert {line["log_level"] for line in told} == {"info"}
    assert lines.index(told[2]) < [line["event"] for line in lines].index("supervisor.started")
    assert KEY not in repr(lines)
