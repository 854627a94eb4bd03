import pytest

from agent.models import probe
from agent.models.failures import Unreachable
from agent.models.probe import Facts
from agent.models.secret import Secret
from agent.models.servers import PROFILES, parse_endpoint
from agent.models.settings import ModelSettings
from agent.models.transport import Transport
from tests.faults.server import FaultServer, Reply, document, error, page


async def ask(server: FaultServer, profile: str) -> Facts:
    endpoint = parse_endpoint(server.base_url)
    transport = Transport(PROFILES[profile], endpoint, Secret("K", {}), ModelSettings())
    try:
        return await probe.ask(transport, "m")
    finally:
        await transport.close()


async def test_vllm_tells_its_version_and_the_models_window() -> None:
    entry = {"id": "m", "owned_by": "vllm", "max_model_len": 32768}
    routes = {
        "/v1/models": document({"data": [entry]}),
        "/version": document({"version": "0.33.0"}),
    }
    async with FaultServer(routes=routes) as server:
        expected = Facts(("m",), "vllm", "0.33.0", 32768)
        assert await ask(server, "vllm") == expected
        assert await ask(server, "openai") == expected


async def test_llamacpp_tells_its_window_and_build() -> None:
    props = {"default_generation_settings": {"n_ctx": 8192}, "build_info": "b7000"}
    async with FaultServer(routes={"/props": document(props)}) as server:
        assert await ask(server, "llamacpp") == Facts(("m",), "llamacpp", "b7000", 8192)


async def test_lmstudio_tells_the_window_it_loaded() -> None:
    entry = {"id": "m", "loaded_context_length": 4096, "quantization": "MXFP4"}
    routes = {"/api/v0/models": document({"data": [entry]})}
    async with FaultServer(routes=routes) as server:
        expected = Facts(("m",), "lmstudio", "", 4096, "MXFP4")
        assert await ask(server, "lmstudio") == expected


async def test_sglang_tells_its_version_and_window() -> None:
    routes = {
        "/v1/models": document({"data": [{"id": "m", "owned_by": "sglang", "max_model_len": 9}]}),
        "/get_server_info": document({"version": "0.5.4", "context_length": 40_960}),
    }
    async with FaultServer(routes=routes) as server:
        assert await ask(server, "openai") == Facts(("m",), "sglang", "0.5.4", 40_960)


@pytest.mark.parametrize(
    ("owner", "kind"),
    [("llamacpp", "llamacpp"), ("organization_owner", "lmstudio"), ("library", "ollama")],
)
async def test_a_server_is_known_by_whom_it_names_as_owner(owner: str, kind: str) -> None:
    entry = {"id": "m", "owned_by": owner, "meta": {"n_ctx_train": 4096}}
    async with FaultServer(routes={"/v1/models": document({"data": [entry]})}) as server:
        found = await ask(server, "openai")
    assert (found.server, found.model_window) == (kind, 4096)


async def test_ollama_is_known_by_its_version_whoever_published_the_model() -> None:
    entry = {"id": "hf.co/x/m", "owned_by": "x"}
    routes = {
        "/v1/models": document({"data": [entry]}),
        "/api/version": document({"version": "0.12"}),
    }
    async with FaultServer(routes=routes) as server:
        assert (await ask(server, "openai")).server == "ollama"


async def test_ollama_is_made_to_load_the_model_whose_window_is_asked() -> None:
    loaded = {
        "name": "m:latest",
        "context_length": 4096,
        "details": {"quantization_level": "Q4_K_M"},
    }
    server = FaultServer(routes={"/api/ps": document({"models": []})})

    def load(path: str) -> None:
        if path == "/api/generate":
            server.routes["/api/ps"] = document({"models": [loaded]})

    server.on_request = load
    async with server:
        server.routes["/api/generate"] = document({"done": True})
        found = await ask(server, "ollama")
    assert (found.context_window, found.quantisation) == (4096, "Q4_K_M")
    assert {"model": "m"} in [request.json for request in server.others if request.body]


@pytest.mark.parametrize(
    "listed",
    [
        error(403, "no"),
        error(404, "no"),
        error(500, "no"),
        page(),
        document([]),
        document({"data": [{"id": 7}, "x"]}),
        Reply(["close"], raw=True),
    ],
)
@pytest.mark.parametrize("profile", ["openai", "ollama"])
async def test_a_server_that_tells_nothing_is_used_all_the_same(
    listed: Reply, profile: str
) -> None:
    async with FaultServer(routes={"/v1/models": listed}) as server:
        assert (await ask(server, profile)).models == ()


async def test_nobody_there_is_an_error() -> None:
    async with FaultServer() as server:
        pass
    with pytest.raises(Unreachable):
        await ask(server, "vllm")
