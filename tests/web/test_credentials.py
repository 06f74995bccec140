import asyncio
import base64
import os
from pathlib import Path

import bcrypt
import pytest

from exporter.config.strict_yaml import ConfigError
from exporter.web import credentials
from exporter.web.credentials import Credentials, Verified, read_token

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TOKEN = "0123456789abcdef" * 2
USERS = {"alice": HASH, "bøb": HASH}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_without_users_and_tokens_everybody_may_come_in() -> None:
    """No credentials are needed where none are configured."""
    assert await Credentials({}, []).authenticate("")


@pytest.mark.parametrize("user", USERS)
async def test_the_right_password_opens_every_time(user: str) -> None:
    """The first time by bcrypt, then by what is remembered; the scheme's case does not matter."""
    known = Credentials(USERS, [])
    for _ in range(2):
        assert await known.authenticate(basic(user, "secret"))
        assert await known.authenticate(basic(user, "secret").replace("Basic", "bAsIc"))


WRONG = {
    "nothing": "",
    "another password": basic("alice", "Secret"),
    "no password": basic("alice", ""),
    "the hash itself": basic("alice", HASH),
    "another user": basic("mallory", "secret"),
    "no user": basic("", "secret"),
    "no colon": "Basic " + base64.b64encode(b"alice").decode(),
    "no base64": "Basic alice:secret",
    "base64 with rubbish": basic("alice", "secret") + "!",
    "not ASCII": "Basic é",
    "a NUL": basic("alice", "secret\0"),
    "longer than bcrypt reads": basic("alice", "secret" + "x" * 100),
    "a bearer token": "Bearer secret",
    "another scheme": "Digest secret",
}


@pytest.mark.parametrize("name", WRONG)
async def test_everything_else_stays_outside(name: str) -> None:
    """Also right after the right password was seen, and a second time."""
    known = Credentials(USERS, [])
    assert await known.authenticate(basic("alice", "secret"))
    assert not await known.authenticate(WRONG[name])
    assert not await known.authenticate(WRONG[name])


async def test_a_remembered_password_opens_nothing_for_another_user() -> None:
    """What is remembered is name, hash and password together; parts that join up differently don't count."""
    known = Credentials({"alice": HASH, "alices": HASH}, [])
    assert await known.authenticate(basic("alice", "secret"))
    assert not await known.authenticate(basic("alices", "ecret"))


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
async def test_a_hash_of_every_maker_is_opened_by_its_password(version: str) -> None:
    """It begins with $2y$ from htpasswd, with $2a$ or $2b$ from others; they are the same thing."""
    known = Credentials({"alice": HASH.replace("$2b$", f"${version}$")}, [])
    assert await known.authenticate(basic("alice", "secret"))
    assert not await known.authenticate(basic("alice", "Secret"))


async def test_right_and_wrong_passwords_at_once_get_each_their_answer() -> None:
    """However they are mixed, and with nothing remembered yet."""
    known = Credentials(USERS, [])
    tries = [basic("alice", "secret" if n % 2 else f"wrong{n % 10}") for n in range(300)]
    answers = await asyncio.gather(*(known.authenticate(tried, str(n % 7)) for n, tried in enumerate(tries)))
    assert answers == [bool(n % 2) for n in range(300)]


async def test_no_wrong_password_makes_a_later_one_right() -> None:
    """Who knows a hash, as from a backup, can't have anything remembered that opens (CVE-2022-46146)."""
    known = Credentials(USERS, [])
    attempts = [
        *(basic(f"alice{HASH}", "fakepassword"), basic("alice", f"{HASH}fakepassword")),
        *(basic("", f"alice{HASH}secret"), basic(f"alice{HASH}secret", ""), basic(f"alice{HASH}", "secret")),
        *(basic("alice", "fakepassword"), basic("alice\0", "secret"), basic("alice", HASH)),
    ]
    for _ in range(2):
        for attempt in attempts:
            assert not await known.authenticate(attempt)
    assert await known.authenticate(basic("alice", "secret"))
    for attempt in attempts:
        assert not await known.authenticate(attempt)


async def test_an_unknown_user_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names can't be guessed from the time: an unknown one is checked against a hash of the same cost."""
    checked = []
    real = bcrypt.checkpw

    def counting(password: bytes, known: bytes) -> bool:
        checked.append(known[:7])
        return real(password, known)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    known = Credentials({"alice": HASH}, [])
    await known.authenticate(basic("alice", "wrong"))
    await known.authenticate(basic("mallory", "wrong"))
    assert checked == [HASH[:7].encode()] * 2


async def test_unknown_users_cost_what_the_users_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hashes of several costs unknown names have several too, and a name always the same."""
    checked: dict[str, set[bytes]] = {}
    asking = ""

    def counting(_: bytes, known: bytes) -> bool:
        checked.setdefault(asking, set()).add(known[:7])
        return False

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    known = Credentials({"alice": HASH, "bob": HASH.replace("$04$", "$05$")}, [])
    for number in range(3 * 40):
        asking = f"user{number % 40}"
        await known.authenticate(basic(asking, f"guess{number}"))
    assert {len(costs) for costs in checked.values()} == {1}
    assert set.union(*checked.values()) == {b"$2b$04$", b"$2b$05$"}


async def test_one_client_does_not_take_the_others_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guesses a hundred passwords at once waits for each; another client's is the next but one."""
    checked: list[bytes] = []

    def counting(password: bytes, _: bytes) -> bool:
        checked.append(password)
        return password == b"secret"

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    known = Credentials(USERS, [])
    guesses = [
        asyncio.create_task(known.authenticate(basic("alice", str(n)), "192.0.2.1")) for n in range(100)
    ]
    await asyncio.sleep(0)
    assert await known.authenticate(basic("alice", "secret"), "192.0.2.2")
    assert checked.index(b"secret") < 5
    await asyncio.gather(*guesses)
    assert not known._turns


async def test_one_user_does_not_take_the_others_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses at one user from many addresses hold up no other one, nor at the same address."""
    checked: list[bytes] = []

    def counting(password: bytes, _: bytes) -> bool:
        checked.append(password)
        return password == b"secret"

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    known = Credentials(USERS, [])
    guesses = [
        asyncio.create_task(known.authenticate(basic("alice", str(n)), f"192.0.2.{n % 50}"))
        for n in range(100)
    ]
    await asyncio.sleep(0)
    assert await known.authenticate(basic("bøb", "secret"), "192.0.2.1")
    assert checked.index(b"secret") < 5
    await asyncio.gather(*guesses)
    assert not known._turns


async def test_a_reload_keeps_what_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the user's hash is the same; not for another hash, nor for a user that is gone."""
    verified = Verified()
    assert await Credentials(USERS, [], verified).authenticate(basic("alice", "secret"))
    other = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    checked = 0

    def counting(_: bytes, __: bytes) -> bool:
        nonlocal checked
        checked += 1
        return False

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    again = Credentials({"alice": HASH, "carol": HASH}, [], verified)
    assert await again.authenticate(basic("alice", "secret"))
    assert checked == 0
    for users in ({"alice": other}, {"carol": HASH}):
        assert not await Credentials(users, [], verified).authenticate(basic("alice", "secret"))
    assert checked == 2


async def test_what_is_remembered_is_bounded() -> None:
    """Many users do not make the memory grow without end."""
    users = {f"u{n}": HASH for n in range(credentials.REMEMBERED + 5)}
    known = Credentials(users, [])
    for user in users:
        assert await known.authenticate(basic(user, "secret"))
    assert len(known._verified) == credentials.REMEMBERED


async def test_any_of_several_tokens_opens() -> None:
    """While a token is rotated the old and the new one both work; nothing else does."""
    known = Credentials({}, [b"old-token", b"new-token"])
    assert await known.authenticate("Bearer old-token")
    assert await known.authenticate("bearer new-token")
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer old-toke",
        "Bearer old-tokenn",
        "Basic old-token",
        "old-token",
    ):
        assert not await known.authenticate(wrong)


async def test_an_empty_token_is_refused_without_tokens() -> None:
    """Where only passwords are configured an empty token is no way in."""
    assert not await Credentials({"alice": HASH}, []).authenticate("Bearer ")


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"two words" * 4, b"\xff\xfe" * 20, b"x" * 5000, b"a\nb" * 20, b"\x7f" * 40, b"x" * 31],
)
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty token would let everybody in, and a short one to who has a day to guess."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError):
        read_token(tmp_path / "token")


def test_blanks_around_a_token_do_not_count(tmp_path: Path) -> None:
    """Editors end a file with a newline."""
    (tmp_path / "token").write_text(f" {TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN.encode()


def test_a_token_that_anyone_may_write_is_refused(tmp_path: Path) -> None:
    """Whoever may write it decides who gets in."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o602)
    with pytest.raises(ConfigError, match=r"token can't be read: anyone may write it: chmod o-w /.*token$"):
        read_token(tmp_path / "token")


def test_a_fifo_holds_no_token(tmp_path: Path) -> None:
    """Nobody waits for somebody to write into it; a link to a token is as good as the token."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="it is no regular file"):
        read_token(tmp_path / "fifo")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "link").symlink_to("token")
    assert read_token(tmp_path / "link") == TOKEN.encode()
