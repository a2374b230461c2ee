"""A mail server for the test: aiosmtpd with STARTTLS at one port and TLS at another, a login, and a pause before each answer.

Arguments: certificate, key, file for mails, password. It prints the two ports.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult

CERTIFICATE, KEY, MAILS, PASSWORD = sys.argv[1:]


class Handler:
    async def handle_DATA(self, _server, _session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        with open(MAILS, "a") as file:
            print(json.dumps({"to": envelope.rcpt_tos, "subject": mail["subject"], "id": mail["message-id"]}), file=file)
        await asyncio.sleep(0.1)
        return "250 taken"


def login(_server, _session, _envelope, _mechanism, data):
    right = (data.login, data.password) == (b"robot", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE, KEY)
    loop = asyncio.get_running_loop()
    common = {"authenticator": login, "auth_required": True, "loop": loop}

    def starttls():
        return SMTP(Handler(), tls_context=tls, require_starttls=True, **common)

    def at_once():
        return SMTP(Handler(), auth_require_tls=False, **common)

    servers = [
        await loop.create_server(starttls, "127.0.0.1", 0),
        await loop.create_server(at_once, "127.0.0.1", 0, ssl=tls),
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
