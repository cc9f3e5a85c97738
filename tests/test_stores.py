"""Stores: the contract, that it finds what is wrong, and the keys that entries are filed under."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    MemoryStore,
    OAuthClient,
    ResourceOwnerPassword,
    StoreKey,
)
from video_oauth_auth.testing import StoreContract, store_contract

from .broken_stores import BROKEN
from .faulty_store import FaultyStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class TestFaultyStoreWithoutFault(StoreContract):
    """The store that the other tests break is none that is broken already."""

    @pytest.fixture
    def store(self):
        return FaultyStore()


# --- the contract finds what is wrong -----------------------------------------------------------------------------

CONTRACT_OF = """
import pytest

from tests.broken_stores import BROKEN, WorkingStore
from video_oauth_auth.testing import StoreContract


class TestStore(StoreContract):
    @pytest.fixture
    def store(self):
        return {}()
"""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_fails_the_contract(pytester, monkeypatch, name):
    monkeypatch.setattr(store_contract, "LONG", 1.0)  # nothing that works needs that long here
    pytester.makepyfile(CONTRACT_OF.format(f"BROKEN[{name!r}]"))
    outcomes = pytester.runpytest_inprocess("-q").parseoutcomes()
    assert outcomes.get("failed", 0) >= 1, outcomes
    assert outcomes.get("errors", 0) == 0


def test_the_store_that_was_broken_passes_the_contract(pytester):
    pytester.makepyfile(CONTRACT_OF.format("WorkingStore"))
    outcomes = pytester.runpytest_inprocess("-q").parseoutcomes()
    assert set(outcomes) == {"passed"}


def test_a_subclass_that_makes_no_store_is_told_so(pytester):
    pytester.makepyfile(
        """
        from video_oauth_auth.testing import StoreContract


        class TestNothing(StoreContract):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-q")
    assert set(result.parseoutcomes()) == {"errors"}
    result.stdout.fnmatch_lines(["*define the fixture `store`*"])


def test_the_testing_package_has_the_contract_and_does_not_import_pytest():
    program = (
        "import sys, video_oauth_auth.testing as testing; assert 'pytest' not in sys.modules; "
        "testing.StoreContract; assert 'pytest' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- keys ---------------------------------------------------------------------------------------------------------

SERVER = AuthorizationServer(issuer="https://login.example.com", token_endpoint="https://login.example.com/token")
CLIENT = OAuthClient("client", "secret")


def key_of(server=SERVER, client=CLIENT, grant=None, user=""):
    return StoreKey.of(server, client, grant, user=user)


def test_keys_of_this_version_stay_what_they_are():
    """Else an update of the library would lose every sign-in."""
    grant = ClientCredentials(scope="b a", audience="videos", resource=["https://a.example"], extra={"tenant": "t"})
    assert key_of().id == "v1-0dbf1bc38137e31a066c1982cb2a3b727d4a49d7"
    assert key_of(grant=ClientCredentials()).id == "v1-abb42711eba12df32ec434f46f00c39eaa704c01"
    assert key_of(grant=grant, user="ann").id == "v1-c905a406c3531647d4b6d7b5dfcf06eb468824e2"


def test_a_key_tells_whose_entry_it_is():
    key = key_of(user="ann")
    assert (key.issuer, key.client_id, key.user) == ("https://login.example.com", "client", "ann")
    endpoint_only = AuthorizationServer(token_endpoint="https://login.example.com/token")
    assert key_of(endpoint_only).issuer == "https://login.example.com/token"
    assert key_of(grant=ResourceOwnerPassword("bob", "password")).user == "bob"


def test_a_key_is_a_value_that_can_name_a_file():
    key = key_of(user="../../etc/passwd")
    assert key == key_of(user="../../etc/passwd")
    assert hash(key) == hash(key_of(user="../../etc/passwd"))
    assert key.id.replace("-", "").isalnum()
    assert key.id.isascii()
    with pytest.raises(AttributeError):
        key.id = "another"


def test_a_key_does_not_depend_on_secrets_or_on_how_the_client_authenticates():
    post = OAuthClient("client", "canary-secret", token_endpoint_auth_method="client_secret_post")
    assert key_of(client=post) == key_of(client=OAuthClient("client", lambda: "other")) == key_of()
    one, another = (ResourceOwnerPassword("ann", password) for password in ("canary-one", "canary-two"))
    assert key_of(grant=one) == key_of(grant=another)
    assert "canary" not in repr(key_of(client=post, grant=one))


def test_the_order_of_scopes_and_resources_does_not_matter():
    orders = ("a b c", "c  a b", ["b", "c", "a"], "a a b c")
    assert len({key_of(grant=ClientCredentials(scope=scope)).id for scope in orders}) == 1
    resources = [["https://a.example", "https://b.example"], ["https://b.example", "https://a.example"]]
    assert len({key_of(grant=ClientCredentials(resource=resource)).id for resource in resources}) == 1
    extras = [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}]
    assert len({key_of(grant=ClientCredentials(extra=extra)).id for extra in extras}) == 1


texts = st.text(max_size=6) | st.sampled_from(["", "a", "b", "a b", '"', "\\", "[", ",", "a,b", '","'])
scopes = st.frozensets(st.sampled_from(["a", "b", "ab", '"', ",", "a,b", '","']), max_size=3)
inputs = st.tuples(
    texts.map(lambda text: f"https://login.example.com/{text}"),  # the issuer
    texts.filter(bool),  # the client
    texts,  # the user
    st.sampled_from(["", "client_credentials", "password"]),
    scopes,
    texts,  # the audience
    st.frozensets(texts.filter(lambda text: "#" not in text).map(lambda text: f"x:{text}"), max_size=2),
    st.dictionaries(st.sampled_from(["tenant", "t", ",", '"']), texts, max_size=2).map(
        lambda extra: tuple(sorted(extra.items()))
    ),
)


def key_from(issuer, client_id, user, grant_type, scope, audience, resource, extra):
    asked = {"scope": " ".join(scope), "audience": audience, "resource": list(resource), "extra": dict(extra)}
    grant = {
        "": lambda: None,
        "client_credentials": lambda: ClientCredentials(**asked),
        "password": lambda: ResourceOwnerPassword("ann", "password", **asked),
    }[grant_type]()
    server = AuthorizationServer(issuer=issuer, token_endpoint="https://login.example.com/token")
    return StoreKey.of(server, OAuthClient(client_id, "secret"), grant, user=user)


def what_counts(given):
    """Leave out what makes no difference: without a grant nothing is asked for, and its name is the password's."""
    issuer, client_id, user, grant_type, *asked = given
    if not grant_type:
        asked = []
    if grant_type == "password":
        user = user or "ann"
    return (issuer, client_id, user, grant_type, *asked)


@given(inputs, inputs)
def test_different_inputs_have_different_keys_and_equal_ones_the_same(one, another):
    same = what_counts(one) == what_counts(another)
    assert (key_from(*one) == key_from(*another)) is same
    assert (key_from(*one).id == key_from(*another).id) is same
    assert key_from(*one) == key_from(*one)


@given(inputs, st.integers(0, 7), inputs)
def test_inputs_that_differ_in_one_place_have_different_keys(one, place, other):
    another = (*one[:place], other[place], *one[place + 1 :])
    same = what_counts(one) == what_counts(another)
    assert (key_from(*one).id == key_from(*another).id) is same
