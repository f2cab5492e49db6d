"""A receiver whose TLS handshake takes as long as a test wants."""

import asyncio
import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path, name: str, issuer=None):
    """Make a certificate for localhost, self-signed or by an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made, key


class SlowTls:
    """Takes a connection (``came``), waits for ``release``, shakes hands, and keeps all it hears until the caller closes (``heard``)."""

    def __init__(self, folder: Path) -> None:
        certificate(folder, "hub", certificate(folder, "ca"))
        self.authority = str(folder / "ca.pem")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "hub.pem", folder / "hub.key")
        self.came, self.release = asyncio.Event(), asyncio.Event()
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.port = 0

    async def __aenter__(self) -> "SlowTls":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # the caller's first words belong to the handshake
        self.came.set()
        await self.release.wait()
        await writer.start_tls(self._tls)
        self.heard.set_result(await reader.read())
        writer.close()
