"""TLS on a socket, one network read at a time, and the context that says whom to trust.

``trio.SSLStream`` gives out one record per call. Providers send one event per record, so each event of a burst would
cost a pass through the scheduler. Here the TLS engine works on buffers in memory, and one network read gives all that
its records hold.
"""

import os
import ssl
import sys
from errno import ECONNRESET, ENOENT

from nexus3.actors.http.stream import SocketStream
from nexus3.actors.resolved import ResolvedProvider
from nexus3.wire.urls import origin_parts

_RECORD_BYTES = 16 << 10
"""What a record can hold at most (RFC 8446, 5.1): a read of this size always takes a whole one."""
_HEADER_BYTES = 5
_PIECE_BYTES = 256 << 10
"""Of a request: what is encrypted at a time, and so kept twice."""


def tls_context(provider: ResolvedProvider) -> ssl.SSLContext | None:
    """What verifies this provider's servers, or its proxy; ``None`` where all is http. Names are checked, always.

    Trusts the authorities of ``certifi``, the system's where its bundle is missing, or those of ``ca_file`` alone.
    Nothing comes from the environment, which ``ssl.create_default_context`` would ask for more authorities and for a
    file to write the session's keys to. Takes some 20 ms: once per incarnation.

    Raises:
        OSError: ``ca_file`` cannot be read, or holds no certificate (``ssl.SSLError`` is one); or there are no
            authorities to trust.
    """
    if provider.proxy is None and origin_parts(provider.base_url)[0] == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED, and names are checked
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if provider.ca_file is None:
        _trust_the_usual(context)
    else:
        context.load_verify_locations(provider.ca_file)
    return context


def _trust_the_usual(context: ssl.SSLContext) -> None:
    try:
        import certifi  # only where https is used

        context.load_verify_locations(certifi.where())
    except (ImportError, FileNotFoundError):  # as in some frozen applications
        if sys.platform == "win32":
            context.load_default_certs()  # elsewhere this would ask the environment
            return
        built_in = ssl.get_default_verify_paths()
        file = built_in.openssl_cafile if os.path.isfile(built_in.openssl_cafile) else None
        folder = built_in.openssl_capath if os.path.isdir(built_in.openssl_capath) else None
        if file is None and folder is None:
            raise FileNotFoundError(
                ENOENT, "no authorities to trust, of certifi or of the system; set ca_file"
            ) from None
        context.load_verify_locations(cafile=file, capath=folder)


class TlsStream:
    """A :class:`nexus3.actors.http.stream.ByteStream` over a plain one, which it owns.

    ``host`` is what the certificate must be for, and what the server is asked for (SNI), whatever address the socket is
    connected to. To be used after :meth:`shake_hands`.
    """

    __slots__ = ("_begun", "_broken", "_held", "_incoming", "_is_ended", "_outgoing", "_stream", "_tls")

    def __init__(self, stream: SocketStream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        # The engine reads all that came within the same step; what it writes is sent before the next wait.
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._begun = b""
        """Of a record that is not whole yet, what came; the engine has it, but does not tell."""
        self._held = b""
        """Content that came before anyone read."""
        self._is_ended = False
        """The peer said so: close_notify."""
        self._broken: ssl.SSLError | None = None
        """What is wrong with the connection, from the record on where it went wrong."""

    async def shake_hands(self) -> None:
        """Agree on keys with a server that proves to be ``host``. Cancelling leaves a stream that is good for closing.

        Raises:
            ssl.SSLCertVerificationError: it does not prove that.
            ssl.SSLError: no common version or cipher, or what answers does not speak TLS.
            OSError: the connection broke or ended.
        """
        while not self._advance_handshake():
            await self._flush()
            came = await self._stream.receive_some()
            if not came:
                raise ConnectionResetError(ECONNRESET, os.strerror(ECONNRESET))
            self._incoming.write(came)
        await self._flush()
        if early := self._incoming.read():  # a server may say more in the same breath
            self._held = self._decrypt(early)

    def _advance_handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _flush(self) -> None:
        await self._stream.send_all(self._outgoing.read())

    def send_now(self, data: bytes) -> bool:
        """See :class:`nexus3.actors.http.stream.ByteStream`. What it did not take is kept encrypted."""
        self._encrypt(memoryview(data))
        return self._stream.send_now(self._outgoing.read())

    async def send_all(self, data: bytes) -> None:
        """See :class:`nexus3.actors.http.stream.ByteStream`."""
        await self._flush()
        with memoryview(data) as view:
            for start in range(0, len(view), _PIECE_BYTES):
                self._encrypt(view[start : start + _PIECE_BYTES])
                await self._flush()

    def _encrypt(self, view: memoryview) -> None:
        start = 0
        while start < len(view):
            start += self._tls.write(view[start:])  # a record at a time

    async def receive_some(self) -> bytes:
        """See :class:`nexus3.actors.http.stream.ByteStream`."""
        if self._held:
            held, self._held = self._held, b""
            return held
        while not self._is_ended:
            if self._broken is not None:
                raise self._broken
            if self._outgoing.pending:  # what the engine had to answer: it declines to negotiate again
                await self._flush()
            if content := self._decrypt(await self._stream.receive_some()):
                return content
        return b""

    def is_quiet(self) -> bool:
        """See :class:`nexus3.actors.http.stream.ByteStream`.

        Reads what has come: session tickets and changes of keys are the TLS engine's own business and no answer.
        """
        if self._has_news():
            return False
        try:
            came = self._stream.receive_nowait()
        except OSError:
            return False
        if came is not None:
            self._held = self._decrypt(came)
        return not (self._begun or self._has_news())

    def _has_news(self) -> bool:
        """The next read has something to give or to raise without waiting."""
        return bool(self._held) or self._is_ended or self._broken is not None

    def close(self) -> None:
        """See :class:`nexus3.actors.http.stream.ByteStream`. The peer gets no close_notify."""
        self._stream.close()

    def _decrypt(self, came: bytes) -> bytes:
        """The content of the records that one network read made whole, joined; often none."""
        if not came:
            self._broken = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended without close_notify")
            return b""
        incoming, read = self._incoming, self._tls.read
        incoming.write(came)
        parts: list[bytes] = []
        unread = 0
        try:
            # Asking first saves the exception that says that there is no more.
            while unread := incoming.pending:
                content = read(_RECORD_BYTES)
                if not content:
                    self._is_ended = True
                    break
                parts.append(content)
        except ssl.SSLWantReadError:
            self._begun = _unfinished(came[-unread:] if parts else self._begun + came)
        except ssl.SSLError as error:
            # What came before it is as good as ever, and may be the end of an answer.
            self._broken = error.with_traceback(None)
        else:
            self._begun = b""
        return b"".join(parts)


def _unfinished(records: bytes) -> bytes:
    """The record at the end that is not whole (RFC 8446, 5.1: type, version, two bytes of length)."""
    start = 0
    while start + _HEADER_BYTES <= len(records):
        end = start + _HEADER_BYTES + int.from_bytes(records[start + 3 : start + _HEADER_BYTES], "big")
        if end > len(records):
            break
        start = end
    return records[start:]
