"""Which model a process on a card serves, by its own command line or that of the server that started it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from exporter.probe import Host
from exporter.probes.gpu.programs import base_name
from exporter.probes.gpu.sysfs import read

ANCESTORS = 4  # of a worker: an engine, the server, a shell or llama-swap before it
COMMAND_LIMIT = 16 * 1024
NAME_LIMIT = 128
BLOB = re.compile(r"sha256-[0-9a-f]{64}", re.ASCII)
PATH = ("/", "./", "../", "~")
LLAMA_CPP = {"llama-server", "ollama_llama_server"}  # the latter ran Ollama's models until 2024
MODULES = {"vllm.entrypoints.openai.api_server": "vllm", "sglang.launch_server": "sglang"}


def model_of(pid: int, host: Host) -> str:
    """The model's name as its server has it; empty where no command line tells.

    The workers of vLLM and SGLang have titles in place of their command lines, so that those who started
    them are asked. What llama-swap started has the name that llama-swap gives to its port.
    """
    model, port = "", ""
    for command in _ancestry(pid, host):
        if model and base_name(command[0]) == "llama-swap":
            names = _names(host, f"llama-swap:{port}")
            return names.pop() if len(names) == 1 else model
        if not model:
            model = _served(command, host)
            port = _option(command, "--port")
    return model


def _served(command: Sequence[str], host: Host) -> str:
    """The model that a server's command line names; empty for any other program."""
    kind = _kind(command)
    if kind == "llama.cpp":
        alias = _option(command, "--alias", "-a").partition(",")[0]
        repository = _option(command, "-hf", "-hfr", "--hf-repo")
        return _bounded(alias) or _file(_option(command, "-m", "--model"), host) or _bounded(repository)
    if kind == "ollama":
        return _file(_option(command, "--model", "-model"), host)
    if kind == "vllm":
        place = command.index("serve") + 1 if "serve" in command[:3] else len(command)
        first = command[place] if place < len(command) and not command[place].startswith("-") else ""
        return _plain(_option(command, "--served-model-name") or first or _option(command, "--model"))
    if kind == "sglang":
        return _plain(_option(command, "--served-model-name") or _option(command, "--model-path", "--model"))
    return ""


def _kind(command: Sequence[str]) -> str:
    programs = [base_name(word) for word in command[:3]]
    if programs[0].removesuffix(".exe") in LLAMA_CPP:
        return "llama.cpp"
    if programs[:2] == ["ollama", "runner"]:
        return "ollama"
    if "-m" in command[:4]:
        following = command[command.index("-m") + 1 :]
        return MODULES.get(following[0], "") if following else ""
    for name in ("vllm", "sglang"):
        if f"{name} serve" in " ".join(programs):
            return name
    return ""


def _option(command: Sequence[str], *names: str) -> str:
    """The value of an option, the last where it stands there twice."""
    found = ""
    for number, word in enumerate(command):
        name, equals, value = word.partition("=")
        if name in names:
            found = value if equals else next(iter(command[number + 1 : number + 2]), "")
    return found


def _file(path: str, host: Host) -> str:
    """The model whose file this is: of Ollama's blobs what the store or the server calls it."""
    name = path.rstrip("/").rpartition("/")[2]
    if BLOB.fullmatch(name):
        names = _names(host, name)
        if len(names) > 1:  # one file under several names: the one that is loaded
            names &= {model for models in host.loaded_models.values() for model in models}
        return _bounded(names.pop()) if len(names) == 1 else ""
    return _bounded(name.removesuffix(".gguf"))


def _names(host: Host, key: str) -> set[str]:
    return {name for known in list(host.model_names.values()) for name in known.get(key, ())}


def _plain(model: str) -> str:
    """A model's name; of a path the last part, since a path is nobody's business."""
    return _bounded(model.rstrip("/").rpartition("/")[2] if model.startswith(PATH) else model)


def _bounded(name: str) -> str:
    """A name that can be shown; none where it can't be printed, or was no text."""
    return name[:NAME_LIMIT] if name.isprintable() and "\ufffd" not in name else ""


def _ancestry(pid: int, host: Host) -> Iterator[list[str]]:
    """The command lines of a process and of those that started it, the nearest first."""
    for _ in range(ANCESTORS):
        if pid <= 1:
            return
        yield read(f"{host.proc}/{pid}/cmdline", COMMAND_LIMIT).split("\0")
        # The name before it is in brackets and may hold anything.
        fields = read(f"{host.proc}/{pid}/stat").rpartition(")")[2].split()
        parent = fields[1] if len(fields) > 1 else ""
        pid = int(parent) if parent.isascii() and parent.isdecimal() else 0
