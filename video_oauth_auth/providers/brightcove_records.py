"""A client credential of Brightcove as a value, and what it may do where: its maximum scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..errors import ConfigurationError, cleaned
from .brightcove_operations import checked_operations

__all__ = [
    "AccountScope",
    "AccountType",
    "CredentialRecord",
    "account_ids",
    "changed_scope",
    "checked_type",
    "maximum_scope",
]

AccountType = Literal["video-cloud-account", "perform-account"]

Scope = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountScope:
    """What a credential may do in one account.

    Attributes:
        account_id: the account, or None where the server names none.
        operations: what it may do there.
        account_type: what kind of account it is.
    """

    account_id: int | None
    operations: tuple[str, ...]
    account_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """A client credential as the server tells about it. Its secret is hidden in `repr`.

    Attributes:
        client_id: the client id.
        client_secret: the secret, in what `create` gives; else None.
        name: what it is called.
        description: what it is for.
        maximum_scope: what it may do, account by account.
        issued_at: when it was made, as the server writes it.
        expires_at: when it ends, as the server writes it; None for never.
        revoked: whether it was revoked.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    name: str = ""
    description: str = ""
    maximum_scope: tuple[AccountScope, ...] = ()
    issued_at: str | None = None
    expires_at: str | None = None
    revoked: bool = False

    @classmethod
    def from_response(cls, members: Mapping[str, Any]) -> CredentialRecord:
        """Read the members of an answer; what is missing or of another kind counts as not told."""
        entries = members.get("maximum_scope")
        return cls(
            client_id=_text(members, "client_id") or "",
            client_secret=_text(members, "client_secret"),
            name=_text(members, "name") or "",
            description=_text(members, "description") or "",
            maximum_scope=tuple(map(_account_scope, entries)) if isinstance(entries, list) else (),
            issued_at=_text(members, "issued_at"),
            expires_at=_text(members, "expires_at"),
            revoked=members.get("revoked") is True,
        )


def maximum_scope(
    accounts: Iterable[int | str],
    operations: Iterable[str],
    *,
    other_operations: Iterable[str] = (),
    account_type: AccountType = "video-cloud-account",
) -> Scope:
    """Build the member `maximum_scope`: the same operations for each account.

    Args:
        accounts: account ids, as numbers or digits.
        operations: known operations.
        other_operations: operations that this version does not know.
        account_type: what kind of accounts these are.

    Raises:
        ConfigurationError: an account or operation is none, or there are none.
    """
    return _scope(account_ids(accounts), checked_operations(operations, other_operations), checked_type(account_type))


def changed_scope(
    before: object, accounts: Sequence[int] | None, operations: Sequence[str] | None, account_type: AccountType
) -> object:
    """Give another maximum scope; None stands for what there was before.

    Args:
        before: the member `maximum_scope` as the server has it.
        accounts: account ids.
        operations: operations for each of them.
        account_type: what kind of accounts these are; counts with `accounts`.

    Raises:
        ConfigurationError: what there was before cannot be gone on with.
    """
    if accounts is None and operations is None:
        return before
    if accounts is not None:
        return _scope(accounts, operations or _shared_operations(before), account_type)
    return [{**entry, "operations": list(operations or ())} for entry in _entries(before)]


def checked_type(account_type: AccountType) -> AccountType:
    """Give the type of an account back.

    Raises:
        ConfigurationError: it is not known.
    """
    if account_type in get_args(AccountType):
        return account_type
    known = " and ".join(get_args(AccountType))
    raise ConfigurationError(f"account_type={cleaned(str(account_type))!r} is not known; there are {known}")


def _scope(accounts: Iterable[int], operations: Iterable[str], account_type: AccountType) -> Scope:
    identities = [{"type": account_type, "account-id": account} for account in accounts]
    return [{"identity": identity, "operations": list(operations)} for identity in identities]


def account_ids(accounts: Iterable[int | str]) -> tuple[int, ...]:
    """Give account ids as numbers, each once.

    Raises:
        ConfigurationError: there are none, or one is none.
    """
    if isinstance(accounts, str | bytes) or not isinstance(accounts, Iterable):
        raise ConfigurationError("accounts= takes a list of account ids: accounts=[123]")
    found = tuple(dict.fromkeys(map(_account_id, accounts)))
    if not found:
        raise ConfigurationError("accounts= is empty: name the accounts by their ids")
    return found


def _account_id(account: int | str) -> int:
    is_number = isinstance(account, int) and not isinstance(account, bool) and account > 0
    if is_number or (isinstance(account, str) and account.isascii() and account.isdecimal()):
        return int(account)
    raise ConfigurationError(f"{cleaned(str(account))!r} is no account id: it is a number, shown in Studio")


def _entries(scope: object) -> Scope:
    if not isinstance(scope, list) or not scope or not all(isinstance(entry, dict) for entry in scope):
        raise ConfigurationError("this credential is for no account yet: give accounts= and operations=")
    return scope


def _shared_operations(scope: object) -> tuple[str, ...]:
    allowed = [_account_scope(entry).operations for entry in _entries(scope)]
    if len({frozenset(operations) for operations in allowed}) > 1:
        raise ConfigurationError(
            "this credential has different operations in different accounts: give operations= with accounts="
        )
    return allowed[0]


def _account_scope(entry: Any) -> AccountScope:
    identity = entry.get("identity") if isinstance(entry, dict) else None
    about = identity if isinstance(identity, dict) else {}
    operations = entry.get("operations") if isinstance(entry, dict) else None
    if not isinstance(operations, list):
        operations = about.get("operations")  # a page of the vendor has them inside
    try:
        account_id = _account_id(about.get("account-id", ""))
    except ConfigurationError:
        account_id = None
    return AccountScope(
        account_id=account_id,
        operations=tuple(one for one in operations if isinstance(one, str)) if isinstance(operations, list) else (),
        account_type=_text(about, "type") or "",
    )


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None
