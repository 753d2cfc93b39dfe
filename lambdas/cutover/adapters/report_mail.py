"""A report as a mail: its text, and its page with the pictures beside it, for mail readers show none that are
inside a page.

https://www.rfc-editor.org/rfc/rfc2387 (multipart/related), https://www.rfc-editor.org/rfc/rfc2392 (cid:)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from email.message import EmailMessage, MIMEPart

_INSIDE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
DOMAIN = "reports.cutover"


def report_mail(subject: str, sender: str, to: Sequence[str], text: str, page: str) -> bytes:
    """The whole message. `page` is HTML whose pictures are PNG in data: addresses."""
    pictures: list[bytes] = []

    def beside(found: re.Match[str]) -> str:
        pictures.append(base64.b64decode(found[1]))
        return f"cid:{len(pictures)}@{DOMAIN}"

    shown = _INSIDE.sub(beside, page)
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, sender, ", ".join(to)
    message.set_content(text)
    message.add_alternative(shown, subtype="html")
    html = list(message.iter_parts())[-1]
    if isinstance(html, MIMEPart):
        for number, picture in enumerate(pictures, 1):
            html.add_related(picture, "image", "png", cid=f"<{number}@{DOMAIN}>", disposition="inline")
    return message.as_bytes()
