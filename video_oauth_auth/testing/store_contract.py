"""What every token store has to do, as tests: subclass `StoreContract` and say how to make a store.

It is the one module of this package, besides the plugin, that needs pytest.
"""

# ruff: noqa: S101, S105, S106 - assertions are what this is made of; the tokens are invented

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import fields
from functools import partial
from typing import Generic, TypeVar

import pytest

from video_oauth_auth.stores import StoreKey, TokenStore
from video_oauth_auth.token import Token

__all__ = ["StoreContract", "make_key", "make_token", "members"]

Result = TypeVar("Result")

LONG = 30.0  # seconds; what should come at once has come long before

UNICODE = "Zoë Ødegård 東京 🎬 \u0000 \u2028 ' \" \\ % {} ../.."


def make_key(user: str = "") -> StoreKey:
    """Make a key that no other test has."""
    return StoreKey(
        id=f"v1-{uuid.uuid4().hex}", issuer="https://login.example.com/realms/a?b=c", client_id="a client", user=user
    )


def make_token(name: str = "token") -> Token:
    """Make a token in which every member says something."""
    return Token(
        access_token=f"access-{name}",
        token_type="bearer",
        issued_at=1_700_000_000.125,
        expires_at=1_700_000_300.0625,
        refresh_token=f"refresh-{name} {UNICODE}",
        refresh_expires_at=1_700_086_400.5,
        scope="videos:read videos:write",
        id_token=f"eyJ.{name}.sig",
        claims={"sub": UNICODE, "aud": ["one", "two"], "auth_time": 1_700_000_000, "nested": {"deep": [1, 2.5, None]}},
        extra={"tenant": UNICODE, "flag": True, "none": None, "list": [1, {"two": 3}], "empty": {}},
    )


def members(token: Token | None) -> dict[str, object] | None:
    """Give all members of a token: tokens are equal already when their access tokens are."""
    if token is None:
        return None
    shown = {field.name: getattr(token, field.name) for field in fields(Token)}
    return {**shown, "extra": dict(token.extra), "claims": None if token.claims is None else dict(token.claims)}


class StoreContract:
    """The tests that every store passes. In a test module:

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self, tmp_path):
                return MyStore(tmp_path)

            @pytest.fixture
            def another(self, store, tmp_path):
                return MyStore(tmp_path)

    `another` is a second handle on the same data, as another process would have; leave it out where there is none.
    """

    @pytest.fixture
    def store(self) -> TokenStore:
        """An empty store, or one whose entries have other keys."""
        raise NotImplementedError("define the fixture `store`: it returns your store")

    @pytest.fixture
    def another(self, store: TokenStore) -> TokenStore:
        """A second handle on the data of `store`."""
        return store

    @pytest.fixture
    def key(self) -> StoreKey:
        """A key that nothing is stored under."""
        return make_key()

    # --- what is kept ---

    def test_it_is_a_token_store(self, store: TokenStore) -> None:
        assert isinstance(store, TokenStore), "it lacks load, transaction or entries"

    def test_nothing_is_stored_under_a_new_key(self, store: TokenStore, key: StoreKey) -> None:
        assert store.load(key) is None
        assert key not in list(store.entries())
        with store.transaction(key, timeout=LONG) as entry:
            assert entry.token is None
        assert store.load(key) is None
        assert key not in list(store.entries()), "looking must not make an entry"

    @pytest.mark.parametrize(
        "token",
        [
            make_token(),
            Token(access_token="only", issued_at=0.0),
            Token(access_token="a" * 6000, issued_at=1.5, refresh_token="r" * 6000, extra={"long": "ü" * 6000}),
        ],
        ids=["every member", "nearly no member", "long"],
    )
    def test_every_member_of_a_token_survives(
        self, store: TokenStore, another: TokenStore, key: StoreKey, token: Token
    ) -> None:
        with store.transaction(key, timeout=LONG) as entry:
            entry.save(token)
        for handle in (store, another):
            assert members(handle.load(key)) == members(token)
            with handle.transaction(key, timeout=LONG) as entry:
                assert members(entry.token) == members(token)

    def test_a_newer_token_replaces_every_member_of_the_older_one(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        newer = Token(access_token="newer", issued_at=2.0)
        for token in (make_token(), newer):
            with store.transaction(key, timeout=LONG) as entry:
                entry.save(token)
        assert members(another.load(key)) == members(newer)
        assert list(store.entries()).count(key) == 1

    def test_what_is_deleted_is_gone(self, store: TokenStore, another: TokenStore, key: StoreKey) -> None:
        with store.transaction(key, timeout=LONG) as entry:
            entry.save(make_token())
        with another.transaction(key, timeout=LONG) as entry:
            entry.delete()
            assert entry.token is None
        for handle in (store, another):
            assert handle.load(key) is None
            assert key not in list(handle.entries())

    def test_deleting_nothing_is_no_error(self, store: TokenStore, key: StoreKey) -> None:
        with store.transaction(key, timeout=LONG) as entry:
            entry.delete()
            entry.delete()
        assert store.load(key) is None

    def test_an_entry_can_be_made_again_after_it_was_deleted(self, store: TokenStore, key: StoreKey) -> None:
        with store.transaction(key, timeout=LONG) as entry:
            entry.save(make_token("first"))
            entry.delete()
            entry.save(make_token("second"))
        assert members(store.load(key)) == members(make_token("second"))

    def test_entries_are_listed_with_issuer_client_and_user(self, store: TokenStore, another: TokenStore) -> None:
        keys = [make_key(user) for user in ("", "ann", UNICODE)]
        for key in keys:
            with store.transaction(key, timeout=LONG) as entry:
                entry.save(make_token(key.id))
        for handle in (store, another):
            listed = {key.id: key for key in handle.entries()}
            assert [listed.get(key.id) for key in keys] == keys

    def test_keys_do_not_mix(self, store: TokenStore) -> None:
        keys = [make_key(user) for user in ("", "ann", "Ann", "ann ", "../ann", UNICODE)]
        for key in keys:
            with store.transaction(key, timeout=LONG) as entry:
                entry.save(make_token(key.id))
        with store.transaction(keys[0], timeout=LONG) as entry:
            entry.delete()
        assert store.load(keys[0]) is None
        for key in keys[1:]:
            assert members(store.load(key)) == members(make_token(key.id))

    # --- the lock ---

    def test_what_is_saved_is_seen_by_others_before_the_lock_is_freed(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        """Who waits for the lock looks with `load`, and goes on as soon as there is a token."""
        with store.transaction(key, timeout=LONG) as entry:
            entry.save(make_token())
            assert members(another.load(key)) == members(make_token())
            assert members(_Elsewhere(lambda: another.load(key)).result()) == members(make_token())

    def test_an_entry_shows_what_was_stored_when_its_lock_was_taken_or_what_was_saved_since(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        with store.transaction(key, timeout=LONG) as entry:
            assert entry.token is None
            entry.save(make_token("first"))
            assert members(entry.token) == members(make_token("first"))
        with another.transaction(key, timeout=LONG) as entry:
            assert members(entry.token) == members(make_token("first"))
            entry.save(make_token("second"))
            assert members(entry.token) == members(make_token("second"))
        with store.transaction(key, timeout=LONG) as entry:
            assert members(entry.token) == members(make_token("second")), "read again under the lock"

    def test_reading_needs_no_lock(self, store: TokenStore, another: TokenStore, key: StoreKey) -> None:
        with store.transaction(key, timeout=LONG):
            assert _Elsewhere(lambda: another.load(key)).result() is None
            assert key not in _Elsewhere(lambda: list(another.entries())).result()

    @pytest.mark.parametrize("timeout", [0, 0.05])
    def test_a_lock_that_is_taken_is_told_by_timeout_error(
        self, store: TokenStore, another: TokenStore, key: StoreKey, timeout: float
    ) -> None:
        with store.transaction(key, timeout=LONG):
            intruder = _Elsewhere(lambda: _saved(another, key, make_token("intruder"), timeout))
            with pytest.raises(TimeoutError):
                intruder.result()
        assert store.load(key) is None
        _Elsewhere(lambda: _saved(another, key, make_token(), timeout)).result()  # 0 means one try; now it is free
        assert members(store.load(key)) == members(make_token())

    def test_who_waits_for_a_lock_gets_it_when_it_is_freed(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        waits = threading.Event()

        def wait_for_lock() -> Token | None:
            waits.set()
            with another.transaction(key, timeout=LONG) as entry:
                return entry.token

        with store.transaction(key, timeout=LONG) as entry:
            waiting = _Elsewhere(wait_for_lock)
            assert waits.wait(LONG)
            entry.save(make_token())
            assert not waiting.has_ended
        assert members(waiting.result()) == members(make_token())

    def test_a_lock_is_freed_after_an_exception_and_what_was_saved_stays(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 - the block is what is tested
            with store.transaction(key, timeout=LONG) as entry:
                entry.save(make_token())
                raise ZeroDivisionError
        _Elsewhere(lambda: _saved(another, key, make_token("second"), 0)).result()
        assert members(store.load(key)) == members(make_token("second"))

    def test_an_exception_changes_nothing_by_itself(self, store: TokenStore, key: StoreKey) -> None:
        _saved(store, key, make_token(), LONG)
        with pytest.raises(ZeroDivisionError), store.transaction(key, timeout=LONG):
            raise ZeroDivisionError
        assert members(store.load(key)) == members(make_token())

    def test_the_lock_of_one_key_leaves_the_others_alone(self, store: TokenStore, another: TokenStore) -> None:
        with store.transaction(make_key("ann"), timeout=LONG):
            _Elsewhere(lambda: _saved(another, make_key("bob"), make_token(), 0)).result()

    def test_many_threads_that_change_one_entry_lose_no_change(
        self, store: TokenStore, another: TokenStore, key: StoreKey
    ) -> None:
        def count(handle: TokenStore) -> None:
            for _ in range(10):
                with handle.transaction(key, timeout=LONG) as entry:
                    number = 0 if entry.token is None else int(entry.token.access_token)
                    entry.save(Token(access_token=str(number + 1), issued_at=0.0))

        for counting in [_Elsewhere(partial(count, handle)) for handle in (store, another) * 4]:
            counting.result()
        counted = store.load(key)
        assert counted is not None
        assert counted.access_token == "80"


class _Elsewhere(Generic[Result]):
    """A function on a thread of its own: some locks let the thread in that holds them. It may hang for ever."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._outcome: Future[Result] = Future()
        self._function = function
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._outcome.set_result(self._function())
        except Exception as error:  # noqa: BLE001 - told where it is waited for
            self._outcome.set_exception(error)

    @property
    def has_ended(self) -> bool:
        return self._outcome.done()

    def result(self) -> Result:
        wait([self._outcome], LONG)
        assert self._outcome.done(), f"still waiting after {LONG} s"
        return self._outcome.result()


def _saved(store: TokenStore, key: StoreKey, token: Token, timeout: float) -> None:
    with store.transaction(key, timeout=timeout) as entry:
        entry.save(token)
