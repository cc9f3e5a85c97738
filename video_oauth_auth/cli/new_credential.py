"""The secret of a credential that is being made: it is told once, so it must reach a place, and no other than that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..errors import OAuthError, StoreError
from ..profiles import profiles_path
from ..providers.brightcove_credentials import BrightcoveCredentials, CredentialRecord
from .new_secrets import KeyringEntry, written_file
from .output import OTHER, say

__all__ = ["NewSecret"]


class NewSecret:
    """Brings the secret where the person wants it, or else into a file, or else takes the credential back.

    Args:
        profile: whose entry in the keyring gets it; None for none.
        print_it: prints it; None if it is not to be printed.

    Attributes:
        exit_status: 0 if the secret came where it was to go.
    """

    def __init__(self, profile: str | None, *, print_it: Callable[[CredentialRecord], None] | None) -> None:
        self._profile = profile
        self._entry = None if profile is None else KeyringEntry(profile)
        self._print_it = print_it
        self._path: Path | None = None
        self.exit_status = 0

    def check(self, *, replace: bool) -> None:
        """Find out whether the secret can be kept, before there is one.

        Args:
            replace: whether a secret that is in the keyring may be lost.

        Raises:
            ConfigurationError, StoreError: it cannot.
        """
        if self._entry is not None:
            self._entry.check(replace=replace)

    def keep(self, record: CredentialRecord, at: BrightcoveCredentials) -> None:
        """Keep the secret.

        Args:
            record: the credential.
            at: where it was made, to delete it if there is no place for its secret.

        Raises:
            StoreError: there is none.
        """
        try:
            if self._print_it is not None:
                self._print_it(record)
            if self._entry is not None:
                self._entry.keep(record.client_secret or "")
        except (OAuthError, OSError) as error:
            failure = str(error) if isinstance(error, OAuthError) else f"it could not be printed ({error.strerror})"
        else:
            return
        self._rescue(record, at, failure)

    def tell(self, record: CredentialRecord) -> None:
        """Say where the secret is, and how a profile uses it."""
        if self._path is not None:
            say("Move the secret to where it belongs, or let a profile read it from there:")
        elif self._profile is None:
            return
        else:
            say(f"The secret is in the keyring. The profile, in {profiles_path()}:")
        in_keyring, in_file = "client_secret_keyring = true", f"client_secret_file = {json.dumps(str(self._path))}"
        name, client_id = json.dumps(self._profile or "name"), json.dumps(record.client_id)
        where = in_keyring if self._path is None else in_file
        say(f'\n[{name}]\nplatform = "brightcove"\nclient_id = {client_id}\n{where}')

    def _rescue(self, record: CredentialRecord, at: BrightcoveCredentials, failure: str) -> None:
        self.exit_status = OTHER
        try:
            self._path = written_file(f"client_secret-{record.client_id}", record.client_secret or "")
        except OSError as error:
            why = error.strerror
        else:
            say(f"video-oauth-auth: {failure}\nThe secret is in the file {self._path}, which only you can read.")
            return
        try:
            at.delete(record.client_id)
        except OAuthError:
            end = f"Deleting the credential again failed too: delete {record.client_id}, nobody knows its secret"
        else:
            end = "So the credential was deleted again"
        raise StoreError(f"{failure}. Writing the secret into a file failed too ({why}). {end}")
