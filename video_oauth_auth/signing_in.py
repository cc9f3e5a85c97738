"""What an auth object can do for people: sign in and out, tell who they are, keep them apart.

Each method exists twice, for threads and for event loops; both send the same errand to a worker. What is said to the
server is in login/sign_in.py, how a person is reached in login/interactive.py; both are imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from . import forks
from .errands import Errand, apart, arun, run
from .errors import ConfigurationError, InvalidResponseError, OAuthError, StoreError
from .grants import DeviceCode
from .login.authorization import Answer, AuthorizationRequest, UserOf
from .login.people import People
from .provided import TokenProvider
from .source import TokenSource
from .token import Token

if TYPE_CHECKING:
    from .login.interactive import Cancel
    from .login.sign_in import SignIn

__all__ = ["SigningIn"]

_making = forks.ForkSafeLock()


class SigningIn:
    """Signs people in; a part of `OAuth2Auth`."""

    source: TokenProvider
    _people: People[Any] | None = None
    _sign_in: SignIn | None = None
    _asking: forks.ForkSafeLock  # held while the person is asked

    # --- in a script --------------------------------------------------------------------------------------------

    def login(
        self,
        *,
        force: bool = False,
        open_browser: Callable[[str], object] | Literal[False] | None = None,
        timeout: float = 300.0,
        cancel: Cancel | None = None,
        notify: Callable[[str], object] | None = None,
        **parameters: str,
    ) -> Token:
        """Let the person at this machine sign in, in their own browser; returns at once where a sign-in is stored.

        The answer comes to a port of this machine (RFC 8252). Where there is no browser the URL is shown, and on a
        terminal the address that it ends at may be pasted. With the grant `DeviceCode` a short code is shown instead.

        Args:
            force: True to ask in any case.
            open_browser: opens a URL instead of this machine's browser, on a thread of its own; False for none.
            timeout: seconds that the person has.
            cancel: ends the wait once it is set; a `threading.Event`, for example.
            notify: takes the lines that are meant for the person; stderr if not given.
            parameters: further parameters of the authorization request, such as `login_hint` or `ui_locales`.

        Raises:
            LoginRequired: the person said no (`denied`), did not come (`timed_out`), or it was `cancelled`.
            ConfigurationError: nobody can sign in with this grant, server or redirect URI.
            OAuthError: the server could not be reached, or said no.
        """
        from .login.asking import ask, usable
        from .login.interactive import Person

        source, sign_in = self._for_people()
        if not isinstance(source.settings.grant, DeviceCode):
            sign_in.authorization_code()
        if "user" in parameters:
            raise ConfigurationError("login() signs in the user of its object: auth.for_user(name).login()")
        person = Person(open_browser=open_browser, timeout=timeout, cancel=cancel, notify=notify, user=source.key.user)
        if not force and (token := usable(source)) is not None:
            return token
        lock = self._asking.here()
        return ask(source, sign_in, person, parameters, force=force, lock=lock, complete=self.complete_login)

    async def alogin(
        self,
        *,
        force: bool = False,
        open_browser: Callable[[str], object] | Literal[False] | None = None,
        timeout: float = 300.0,
        cancel: Cancel | None = None,
        notify: Callable[[str], object] | None = None,
        **parameters: str,
    ) -> Token:
        """Do the same as `login` without blocking the event loop; a task that is cancelled ends the wait."""
        from .login.interactive import AnyOf

        stop = AnyOf(cancel)
        return await apart(
            lambda: self.login(
                force=force, open_browser=open_browser, timeout=timeout, cancel=stop, notify=notify, **parameters
            ),
            stop.set,
        )

    # --- in any application -------------------------------------------------------------------------------------

    def begin_login(
        self, *, user: str | UserOf | None = None, redirect_uri: str | None = None, **parameters: str
    ) -> AuthorizationRequest:
        """Begin a sign-in: send the person's browser to the `url` of what this gives, and keep that in their session.

        Args:
            user: whose sign-in it is, which decides where the tokens are kept; or a callable that finds it in the
                token: `lambda token: token.claims["sub"]`. The user of this object, if not given.
            redirect_uri: where the answer comes to; that of the grant, if not given.
            parameters: further parameters of the authorization request, such as `prompt` or `login_hint`.

        Raises:
            ConfigurationError: no user is named though several people could sign in; nobody can sign in with this
                grant or server; the parameters would override what the library sets.
            OAuthError: discovery failed, or the authorization endpoint is no URL to open.
        """
        return run(self._begun(user, redirect_uri, parameters), self._for_people()[0].errand())

    async def abegin_login(
        self, *, user: str | UserOf | None = None, redirect_uri: str | None = None, **parameters: str
    ) -> AuthorizationRequest:
        """Do the same as `begin_login` without blocking the event loop."""
        return await arun(self._begun(user, redirect_uri, parameters), self._for_people()[0].errand())

    def complete_login(self, pending: AuthorizationRequest, response: Answer, *, user: UserOf | None = None) -> Token:
        """Complete a sign-in: check the answer, redeem its code, keep the tokens for the user it was begun for.

        Args:
            pending: what `begin_login` gave, of any object with the same server and client.
            response: the URL that the browser came back to, its query, or its parameters as a mapping.
            user: finds the user in the token; needed where `begin_login` got such a callable and `pending` was kept
                as plain values in between.

        Raises:
            InvalidResponseError: the answer does not belong to `pending`, comes from another issuer, was used already,
                or the ID token is not to be trusted.
            LoginRequired: the person said no.
            ResponseError: the server said no.
            ConfigurationError: `pending` was begun for another server or client.
        """
        job = self._completed(pending, response, user)
        del pending, response  # an error must not keep the code in its frames
        return run(job, self._for_people()[0].errand())

    async def acomplete_login(
        self, pending: AuthorizationRequest, response: Answer, *, user: UserOf | None = None
    ) -> Token:
        """Do the same as `complete_login` without blocking the event loop."""
        job = self._completed(pending, response, user)
        del pending, response
        return await arun(job, self._for_people()[0].errand())

    def _begun(
        self, user: str | UserOf | None, redirect_uri: str | None, parameters: Mapping[str, str]
    ) -> Callable[[Errand], AuthorizationRequest]:
        from .login.receiver import is_loopback_redirect

        source, sign_in = self._for_people()
        redirect_uri = redirect_uri or sign_in.authorization_code().redirect_uri
        name, user_of = (None, user) if callable(user) else (user or source.key.user, None)
        if name is not None and not isinstance(name, str):
            raise ConfigurationError(f"user= is a text, or a callable that gives one; not {type(user).__name__}")
        if name == "" and redirect_uri and not is_loopback_redirect(redirect_uri):
            raise ConfigurationError(
                f"a sign-in that comes back to {redirect_uri} needs user=: several people can sign in there, and they "
                f"must never share tokens. If there is only one, give them a name all the same"
            )
        return lambda errand: sign_in.begin(
            errand, redirect_uri=redirect_uri, user=name, user_of=user_of, parameters=parameters
        )

    def _completed(
        self, pending: AuthorizationRequest, response: Answer, user: UserOf | None
    ) -> Callable[[Errand], Token]:
        def complete(errand: Errand) -> Token:
            _, sign_in = self._for_people()
            user_of = _finder(pending, user)
            token = sign_in.redeem(pending, response, errand)
            name = _found(user_of, token) if user_of else pending.user
            self._sibling(name or "")._for_people()[0].keep(token, errand)
            return token

        return complete

    # --- the end ------------------------------------------------------------------------------------------------

    def logout(self) -> bool:
        """Sign out: have the tokens revoked (RFC 7009), and forget them here, even where the server is down.

        Returns:
            True if the server knows. False if it offers no revocation or could not be told, which is logged.

        Raises:
            StoreError: the store could not be locked, or emptied.
        """
        return run(self._signed_out(), self._for_people()[0].errand())

    async def alogout(self) -> bool:
        """Do the same as `logout` without blocking the event loop."""
        return await arun(self._signed_out(), self._for_people()[0].errand())

    def _signed_out(self) -> Callable[[Errand], bool]:
        source, sign_in = self._for_people()
        return lambda errand: source.end(lambda token: sign_in.revoke(token, errand), errand)

    def end_session_url(self, *, post_logout_redirect_uri: str | None = None, state: str | None = None) -> str:
        """Give the URL where the person's browser ends their session at the server too; ask before `logout()`.

        It holds the ID token, as OpenID Connect RP-Initiated Logout 1.0 wants it: send the browser there, log it not.

        Args:
            post_logout_redirect_uri: where the browser shall come back to, as registered for the client.
            state: comes back with it.

        Raises:
            ConfigurationError: the server has no such URL.
            OAuthError: discovery failed, or the store could not be read.
        """
        job = self._end_session_url(post_logout_redirect_uri, state)
        return run(job, self._for_people()[0].errand())

    async def aend_session_url(self, *, post_logout_redirect_uri: str | None = None, state: str | None = None) -> str:
        """Do the same as `end_session_url` without blocking the event loop."""
        job = self._end_session_url(post_logout_redirect_uri, state)
        return await arun(job, self._for_people()[0].errand())

    def _end_session_url(self, post_logout_redirect_uri: str | None, state: str | None) -> Callable[[Errand], str]:
        source, sign_in = self._for_people()
        return lambda errand: sign_in.end_session_url(
            source.known(), errand, post_logout_redirect_uri=post_logout_redirect_uri, state=state
        )

    # --- who it is ----------------------------------------------------------------------------------------------

    def userinfo(self) -> Mapping[str, Any]:
        """Ask the server who has signed in (OpenID Connect Core, section 5.3).

        Raises:
            ConfigurationError: the server does not tell.
            InvalidResponseError: the answer is about somebody else, or none; or the token is not accepted there.
            OAuthError: there is no token, or the server could not be reached.
        """
        source, sign_in = self._for_people()
        token = source.get_token()
        found = run(lambda errand: sign_in.userinfo(token, errand), source.errand())
        if found is None:
            newer = source.get_token(rejected=token)
            found = run(lambda errand: sign_in.userinfo(newer, errand), source.errand())
        return _told(found, source)

    async def auserinfo(self) -> Mapping[str, Any]:
        """Do the same as `userinfo` without blocking the event loop."""
        source, sign_in = self._for_people()
        token = await source.aget_token()
        found = await arun(lambda errand: sign_in.userinfo(token, errand), source.errand())
        if found is None:
            newer = await source.aget_token(rejected=token)
            found = await arun(lambda errand: sign_in.userinfo(newer, errand), source.errand())
        return _told(found, source)

    # --- several people -----------------------------------------------------------------------------------------

    def for_user(self, name: str) -> Self:
        """Give the auth object for one person: the same one for the same name, as long as it is in use.

        It shares settings, store and limits with this one, and has tokens of its own.

        Args:
            name: what the program knows the person by.

        Raises:
            ConfigurationError: it is no name, or the source is the program's own.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"a user has a name: for_user({name!r})")
        return self._sibling(name)

    def users(self) -> list[str]:
        """Give the names of those who are signed in, as far as the store knows; may block.

        Raises:
            StoreError: the store could not be read.
        """
        source, _ = self._for_people()
        failure: str
        try:
            keys = list(source.settings.store.entries())
        except Exception as error:  # noqa: BLE001 - a user's own store may raise anything
            why = error if isinstance(error, OAuthError) else type(error).__name__
            failure = f"the token store could not be listed ({why})"
        else:
            return sorted({key.user for key in keys if key.user and key == source.settings.key(key.user)})
        raise StoreError(failure)

    def _sibling(self, name: str) -> Self:
        source, _ = self._for_people()
        if name == source.key.user:
            return self
        assert self._people is not None  # noqa: S101 - made with the rest
        sibling: Self = self._people.get(name, lambda: self._with(source.for_user(name)))
        return sibling

    def _with(self, source: TokenSource) -> Self:
        raise NotImplementedError

    # --- inside -------------------------------------------------------------------------------------------------

    def _for_people(self) -> tuple[TokenSource, SignIn]:
        """Give the source and what signs people in, which all users share; made when it is first needed."""
        source = self.source
        if not isinstance(source, TokenSource):
            raise ConfigurationError(
                "signing in needs a TokenSource; the source of this auth object is one of your own"
            )
        if self._sign_in is None:
            from .login.sign_in import SignIn

            with _making.here():
                if self._sign_in is None:
                    self._asking = forks.ForkSafeLock()
                    people: People[Any] = People(lambda one: one.source.has_unsaved())
                    people.get(source.key.user, lambda: self)
                    self._people, self._sign_in = people, SignIn(source.settings)
        return source, self._sign_in


def _finder(pending: AuthorizationRequest, user: UserOf | None) -> UserOf | None:
    """Give what finds the user in the token; None where `begin_login` was told who it is."""
    if not isinstance(pending, AuthorizationRequest):
        raise ConfigurationError("pending is what begin_login() gave, or AuthorizationRequest.from_dict() of it")
    if user is not None and not callable(user):
        raise ConfigurationError("complete_login(user=) is a callable; a name is given to begin_login(user=)")
    if pending.user is None:
        if user is None and pending.user_of is None:
            raise ConfigurationError(
                "whose sign-in is this? begin_login() was told to find the user in the token; say how once more: "
                'complete_login(pending, response, user=lambda token: token.claims["sub"])'
            )
        return user or pending.user_of
    if user is not None:
        raise ConfigurationError(
            "whose sign-in is this? begin_login() was told, and complete_login(user=) might find another one: give the "
            "callable to begin_login(user=) too"
        )
    return None


def _found(user_of: UserOf, token: Token) -> str:
    failure = "gave no name"
    try:
        name = user_of(token)
        if isinstance(name, str) and name:
            return name
    except Exception as error:  # noqa: BLE001 - it is the user's code, and its exception may hold the token
        failure = f"failed: {type(error).__name__}"
    verified = "" if token.claims else "; there is no verified ID token: ask for the scope openid"
    raise ConfigurationError(f"the callable given as user= {failure}{verified}")


def _told(found: Mapping[str, Any] | None, source: TokenSource) -> Mapping[str, Any]:
    if found is None:
        raise InvalidResponseError(
            f"the UserInfo endpoint of {source.key.issuer} answers 401 to a new token; it may want the scope openid",
            status=401,
        )
    return found
