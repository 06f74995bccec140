"""The LLM servers of the fake box."""

from __future__ import annotations

import re

import pytest

from tests.box import llm
from tests.box.box import FakeBox
from tests.box.collect import collect, run_probes
from tests.box.files import put
from tests.series import series

MODELS = {
    0: {"nomic-embed-text:latest"},
    65: {"nomic-embed-text:latest", "qwen3:8b"},
    221: {"nomic-embed-text:latest"},
    260: {"nomic-embed-text:latest", "qwen3:30b"},
    599: {"nomic-embed-text:latest"},
    660: {"nomic-embed-text:latest", "qwen3:8b"},
}


@pytest.mark.parametrize("second", MODELS)
def test_models_load_and_expire(second: int) -> None:
    """One after the other; the second does not fit on the card, and one is pinned."""
    assert {name for name, *_ in llm.loaded(second, 1.8e9)} == MODELS[second]


def test_queue_grows_and_gets_shorter() -> None:
    """Within the first five minutes."""
    assert [llm.waiting(second) for second in (0, 70, 110, 150, 190, 230, 500)] == [0, 0, 7, 14, 7, 0, 0]


async def test_servers_are_asked(box: FakeBox) -> None:
    """Both are found out and read without a warning; the card's process is as large as what is loaded."""
    box.freeze(1.8e9)
    with llm.served(box):
        await run_probes(box, "disk")
        seen = await collect(box, "gpu")
        results = await run_probes(box, "llm")
        seen |= {name: value for result in results for name, value in series(result.families).items()}
    assert [note for result in results for note in result.notes] == []
    assert (seen['grid_llm_up{server="ollama"}'], seen['grid_llm_up{server="vllm"}']) == (1, 1)
    kinds = {match[1] for name in seen if (match := re.search('server_info.*kind="([^"]*)"', name))}
    assert kinds == {"ollama", "vllm"}
    assert seen['grid_llm_model_pinned{model="nomic-embed-text:latest",server="ollama"}'] == 1
    (held,) = (value for name, value in seen.items() if "process_memory" in name and "ollama" in name)
    assert held == pytest.approx(0.6e9, rel=0.01)
    assert [name for name in seen if "process_memory" in name and 'model="Qwen/Qwen3-14B-AWQ"' in name]


async def test_vllm_answers_while_its_container_runs(box: FakeBox) -> None:
    """Stopped, it refuses and leaves the card; started again, it answers there and counts anew."""
    box.freeze(1.8e9)
    tokens = 'grid_llm_generated_tokens_total{model="Qwen/Qwen3-14B-AWQ",server="vllm"}'
    with llm.served(box) as follow:
        put(box.directory / "clock", str(1.8e9 + 600))
        before = await collect(box, "llm") | await collect(box, "gpu")
        box.container("vllm", status="exited")
        follow()
        meanwhile = await collect(box, "llm") | await collect(box, "gpu")
        box.container("vllm", status="running")
        follow()
        after = await collect(box, "llm") | await collect(box, "gpu")
    assert [seen['grid_llm_up{server="vllm"}'] for seen in (before, meanwhile, after)] == [1, 0, 1]
    assert meanwhile['grid_llm_read_error{reason="refused",server="vllm"}'] == 1
    held = [
        sum(value for name, value in seen.items() if "process_memory" in name and 'container="vllm"' in name)
        for seen in (before, meanwhile, after)
    ]
    assert held[0] == held[2] > 20e9 > held[1] == 0
    assert before[tokens] > 100_000 > after[tokens]
