"""Names that lead where a test says, without asking anybody."""

import socket
from typing import Literal

import trio

Address = (
    tuple[Literal[socket.AddressFamily.AF_INET], socket.SocketKind, int, str, tuple[str, int]]
    | tuple[
        Literal[socket.AddressFamily.AF_INET6],
        socket.SocketKind,
        int,
        str,
        tuple[str, int, int, int] | tuple[int, bytes],
    ]
)
"""One of those that a resolver answers with, in trio's words."""


class Resolver(trio.abc.HostnameResolver):
    """Gives its answers in turn, the last one again and again. An exception is raised, ``None`` never comes."""

    def __init__(self, *answers: str | BaseException | None) -> None:
        self._answers = answers
        self.asked = list[str]()

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - trio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Address]:
        assert host is not None
        assert isinstance(port, int)
        answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(host.decode())
        await trio.lowlevel.checkpoint()
        if answer is None:
            await trio.sleep_forever()
        if isinstance(answer, BaseException):
            raise answer
        return [_address(text, port) for text in answer.split()]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError


def _address(text: str, port: int) -> Address:
    if ":" in text:
        return (socket.AddressFamily.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0))
    return (socket.AddressFamily.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))


def resolving(*answers: str | BaseException | None) -> Resolver:
    """Every name of this trio run resolves so: an answer is addresses between blanks; see :class:`Resolver`."""
    resolver = Resolver(*answers)
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver
