"""Client credentials of Brightcove: made, listed, shown, changed and deleted with a BC_TOKEN (OAuth API v4)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from ..errands import Errand, run
from ..errors import ConfigurationError, InvalidResponseError, OAuthError, TransportError, cleaned
from ..origin import checked_endpoint, insecure_members
from ..transport import Via, via_client
from .brightcove_calls import StudioCalls, credential_in, credentials_in, with_message
from .brightcove_operations import OPERATIONS, checked_operations
from .brightcove_records import (
    AccountScope,
    AccountType,
    CredentialRecord,
    account_ids,
    changed_scope,
    checked_type,
    maximum_scope,
)

__all__ = ["ENDPOINT", "OPERATIONS", "AccountScope", "BrightcoveCredentials", "CredentialRecord"]

ENDPOINT = "https://oauth.brightcove.com/v4/client_credentials"

_CLIENT_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
_LOST = (
    " It may have been made nevertheless, with a secret that nobody knows: look with list(), and delete it before you "
    "try again"
)

Keep = Callable[[CredentialRecord], object]


class BrightcoveCredentials:
    """Makes and changes the credentials that `BrightcoveAuth` asks for tokens with.

    Every call is one blocking exchange (an update: two), made once: nothing is tried again by itself.

    Args:
        bc_token: the cookie BC_TOKEN of a Studio session, or a callable that returns it, asked at each call. It ends
            when its user leaves Studio, and after 24 hours.
        endpoint: where credentials are.
        insecure_origins: origins that may be used without TLS.
        http_client: a `requests.Session`, `httpx.Client` or `httpx2.Client` whose transports, TLS and proxy settings
            the calls use.
        timeout: seconds that a call may take, everything included.

    Raises:
        ConfigurationError: an argument cannot work.
        InsecureTransportError: the endpoint is neither https, nor loopback, nor listed.

    Source: https://apis.support.brightcove.com/oauth/references/reference.html
    """

    def __init__(
        self,
        bc_token: str | Callable[[], str],
        *,
        endpoint: str = ENDPOINT,
        insecure_origins: Iterable[str] = (),
        http_client: object | None = None,
        timeout: float = 30.0,
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0.1 <= timeout < math.inf:
            raise ConfigurationError(f"timeout= is a number of seconds, at least 0.1; not {timeout!r}")
        self._calls = StudioCalls(bc_token)
        self._endpoint = checked_endpoint(endpoint, "endpoint", insecure_members(insecure_origins)).rstrip("/")
        self._via = Via("httpx" if http_client is None else via_client(http_client), http_client)
        self._timeout = float(timeout)

    def create(
        self,
        name: str,
        *,
        accounts: Iterable[int | str],
        operations: Iterable[str],
        other_operations: Iterable[str] = (),
        description: str = "",
        account_type: AccountType = "video-cloud-account",
        keep: Keep | None = None,
    ) -> CredentialRecord:
        """Make a credential. The record that this gives has its secret, which the server never tells again.

        Args:
            name: what it is called in Studio.
            accounts: the ids of the accounts that it is for.
            operations: what it may do in each of them: some of `OPERATIONS`.
            other_operations: operations that this version does not know.
            description: what it is for.
            account_type: what kind of accounts these are.
            keep: called with the record before it is given, on a thread that the caller does not own: what this
                function saves is saved also if the caller is interrupted meanwhile.

        Raises:
            ConfigurationError: an argument cannot work; nothing was sent.
            ResponseError: the server said no.
            TransportError, InvalidResponseError: no complete answer; where the server may have made the credential
                nevertheless, the message says so.
        """
        scope = maximum_scope(accounts, operations, other_operations=other_operations, account_type=account_type)
        members = {"type": "credential", "name": _text(name, "name"), "maximum_scope": scope}
        members["description"] = _text(description, "description", empty=True)

        def job(errand: Errand) -> CredentialRecord:
            record = self._created(members, errand)
            if keep is not None:
                keep(record)
            return record

        return run(job, self._errand())

    def list(self, accounts: Iterable[int | str]) -> tuple[CredentialRecord, ...]:
        """Give the credentials of these accounts, without their secrets.

        Raises:
            OAuthError: as for `create`, apart from what was made.
        """
        ids = ",".join(map(str, account_ids(accounts)))
        url = f"{self._endpoint}?origin_account_ids={ids}"

        def job(errand: Errand) -> tuple[CredentialRecord, ...]:
            response = self._calls.send("GET", url, f"list the credentials of {ids}", errand)
            return tuple(CredentialRecord.from_response(members) for members in credentials_in(response, url))

        return run(job, self._errand())

    def show(self, client_id: str) -> CredentialRecord:
        """Give one credential, without its secret.

        Raises:
            OAuthError: as for `create`, apart from what was made; `ResponseError` with status 404 if there is none.
        """
        url = self._url(client_id)
        return run(lambda errand: CredentialRecord.from_response(self._found(url, client_id, errand)), self._errand())

    def update(
        self,
        client_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        accounts: Iterable[int | str] | None = None,
        operations: Iterable[str] | None = None,
        other_operations: Iterable[str] = (),
        account_type: AccountType = "video-cloud-account",
    ) -> CredentialRecord:
        """Change a credential; what is not given stays. The server takes whole credentials, so it is read before.

        Args:
            client_id: which one.
            name: another name.
            description: another description.
            accounts: the accounts that it is for from now on, all of them; the operations stay if they are the same for
                all accounts so far.
            operations: what it may do from now on in each account, all of it.
            other_operations: operations that this version does not know, besides these.
            account_type: what kind of accounts these are; counts with `accounts`.

        Raises:
            OAuthError: as for `create`, apart from what was made.
        """
        url = self._url(client_id)
        given = {"name": name, "description": description}
        texts = {key: _text(value, key, empty=key != "name") for key, value in given.items() if value is not None}
        others = checked_operations((), other_operations) if other_operations else ()
        ids = None if accounts is None else account_ids(accounts)
        allowed = None if operations is None and not others else checked_operations(operations or (), others)
        kind = checked_type(account_type)
        if not texts and ids is None and allowed is None:
            raise ConfigurationError("update() needs something to change: name, description, accounts or operations")

        def job(errand: Errand) -> CredentialRecord:
            known = self._found(url, client_id, errand)
            members = {"type": "credential", "name": known.get("name"), "description": known.get("description") or ""}
            members["maximum_scope"] = changed_scope(known.get("maximum_scope"), ids, allowed, kind)
            what = f"update the credential {client_id}"
            response = self._calls.send("PUT", url, what, errand, members={**members, **texts})
            return CredentialRecord.from_response(credential_in(response, url))

        return run(job, self._errand())

    def delete(self, client_id: str) -> None:
        """Delete a credential. Tokens that it has brought live on until they end, for five minutes at most.

        Raises:
            OAuthError: as for `show`.
        """
        url = self._url(client_id)
        what = f"delete the credential {client_id}"
        run(lambda errand: self._calls.send("DELETE", url, what, errand), self._errand())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._endpoint}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled, it holds a BC_TOKEN: build it where it is used")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _errand(self) -> Errand:
        return Errand(self._timeout, self._via)

    def _url(self, client_id: str) -> str:
        if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
            raise ConfigurationError(f"{cleaned(str(client_id))!r} is no client id")
        return f"{self._endpoint}/{client_id}"

    def _created(self, members: Mapping[str, Any], errand: Errand) -> CredentialRecord:
        failure: OAuthError
        what = f"create the credential {cleaned(members['name'])!r}"
        try:
            response = self._calls.send("POST", self._endpoint, what, errand, members)
            record = CredentialRecord.from_response(credential_in(response, self._endpoint))
            if record.client_secret:
                return record
            failure = InvalidResponseError(f"{self._endpoint} gave the credential {record.client_id} without a secret")
        except (TransportError, InvalidResponseError) as error:
            if isinstance(error, TransportError) and not error.sent:
                raise
            failure = error
        failure = with_message(failure, f"{str(failure).rstrip('.')}.{_LOST}")
        failure.transient = False  # a loop that tries again would make one more each time
        raise failure

    def _found(self, url: str, client_id: str, errand: Errand) -> dict[str, Any]:
        return credential_in(self._calls.send("GET", url, f"show the credential {client_id}", errand), url)


def _text(value: object, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ConfigurationError(f"{name}= has to be {'a text' if empty else 'a text that is not empty'}")
    return value
