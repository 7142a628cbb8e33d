"""Logging in, and doing so again: tokens expire after minutes, and a restarted member has forgotten them."""

from __future__ import annotations

import asyncio

from services.shared.etcd.calls import Caller, unary
from services.shared.stubs.etcd import rpc_pb2


class Login:
    """A user's token, asked for when first needed and again after etcd refused it."""

    def __init__(self, anonymous: Caller, *, username: str, password: str) -> None:
        """Keep the credentials; `anonymous` is used to log in: a stale token sent along would be refused."""
        self._caller = anonymous
        self._request = rpc_pb2.AuthenticateRequest(name=username, password=password)
        self._token: str | None = None
        self._logging_in = asyncio.Lock()

    async def token(self) -> str | None:
        """Return the token; of many callers without one, the first logs in and the others wait for it.

        Raises:
            InvalidRequestError: etcd does not know this user with this password.
            ConflictError: authentication is not enabled on this cluster.
            UnavailableError: no answer within the deadline.
        """
        async with self._logging_in:
            if self._token is None:
                answer = await self._caller.repeat(unary(lambda to: to.auth.Authenticate, self._request))
                self._token = answer.token
            return self._token

    def expired(self, token: str) -> None:
        """Forget `token`, unless a newer one has taken its place already."""
        if self._token == token:
            self._token = None
