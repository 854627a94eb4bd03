import pytest

from agent.models.base import ServerLoad
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.faults.server import FaultServer, Reply, document

VLLM = b"""\
# HELP vllm:kv_cache_usage_perc KV-cache usage.
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
"""
LLAMACPP = b"llamacpp:requests_processing 1\nllamacpp:requests_deferred 5\n"


async def load_of(server: FaultServer, owner: str, metrics: bytes | None) -> ServerLoad | None:
    models = {"object": "list", "data": [{"id": "m", "owned_by": owner}]}
    server.routes["/v1/models"] = document(models)
    if metrics is not None:
        server.routes["/metrics"] = Reply([metrics], headers={"Content-Type": "text/plain"})
    settings = ModelSettings(base_url=server.base_url, protocol="chat")
    model = open_model("openai:m", settings, {})
    try:
        await model.prepare()
        return await model.load()
    finally:
        await model.close()


@pytest.mark.parametrize(
    ("owner", "metrics", "told"),
    [
        ("vllm", VLLM, ServerLoad(cache=0.75, running=7, waiting=2)),
        ("llamacpp", LLAMACPP, ServerLoad(cache=None, running=1, waiting=5)),
        ("vllm", b"vllm:kv_cache_usage_perc nonsense\n", None),
        ("vllm", None, None),
        ("somebody", VLLM, None),
    ],
)
async def test_a_server_tells_how_full_it_is(
    owner: str, metrics: bytes | None, told: ServerLoad | None
) -> None:
    async with FaultServer() as server:
        assert await load_of(server, owner, metrics) == told
