"""E-mail to the people of the hub. Without a mail server what would have been sent is told in the log."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from carelane.ops.logs import tell

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Mailer:
    """Sends through one server: ``smtp://user:password@host:587`` (STARTTLS where offered) or ``smtps://host:465``."""

    url: str
    sender: str

    async def send(self, addresses: Sequence[str], subject: str, text: str) -> None:
        """Send a message to each address; a failure is told in the log and loses nothing else."""
        if not addresses:
            return
        if not self.url:
            tell("mail.not_configured", f"{subject} (for {', '.join(addresses)})")
            return
        try:
            await asyncio.to_thread(self._send, addresses, subject, text)
        except (OSError, smtplib.SMTPException) as error:
            tell("mail.failed", f"{subject}: {type(error).__name__}")

    def _send(self, addresses: Sequence[str], subject: str, text: str) -> None:
        parts = urlsplit(self.url)
        host = parts.hostname or "localhost"
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 25, timeout=_TIMEOUT_S)
        with server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            for address in addresses:
                message = EmailMessage()
                message["From"], message["To"], message["Subject"] = self.sender, address, subject
                message.set_content(text)
                server.send_message(message)
