import pytest

from exporter.system.secrets import masked


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/x", "--password", "hunter2", "-v"], ["/x", "--password", "***", "-v"]),
        (["/x", "--api-key=hunter2"], ["/x", "--api-key=***"]),
        (["/x", "--db-password", "hunter2"], ["/x", "--db-password", "***"]),
        (["/x", "-token", "hunter2"], ["/x", "-token", "***"]),
        (["curl", "-u", "alice:hunter2", "url"], ["curl", "-u", "alice:***", "url"]),
        (["curl", "-H", "Authorization: Bearer hunter2"], ["curl", "-H", "Authorization: Bearer ***"]),
        (["curl", "https://alice:hunter2@box/x"], ["curl", "https://alice:***@box/x"]),
        (["curl", "https://box/x?token=hunter2&y=1"], ["curl", "https://box/x?token=***&y=1"]),
        (["env", "DB_PASSWORD=hunter2", "x"], ["env", "DB_PASSWORD=***", "x"]),
        (["/x", "hf_abcdefghijklmnop"], ["/x", "***"]),
        (["/x", '{"secret": "hunter2"}'], ["/x", '{"secret": "***"}']),
    ],
)
def test_secrets_are_masked(argv: list[str], expected: list[str]) -> None:
    """After an option, in an assignment, a header, a URL, or by a well-known beginning."""
    assert masked(argv) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv"],
        ["docker", "inspect", "--type", "container", "ab" * 32],
        ["systemctl", "show", "passwordless.service", "--property=Id"],
        ["/usr/local/bin/tokens", "--tokenizer", "llama"],
        ["curl", "-u", "alice"],
    ],
)
def test_other_arguments_stay(argv: list[str]) -> None:
    """A person needs them to run the command by hand."""
    assert masked(argv) == argv
