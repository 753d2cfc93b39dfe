"""A report as a mail that any reader shows: text, page, and the pictures beside it."""

from __future__ import annotations

import base64
import email
import email.policy

from cutover.adapters.report_mail import report_mail

PNG = b"\x89PNG\r\n\x1a\n"


def page(*pictures: bytes) -> str:
    shown = "".join(f'<img src="data:image/png;base64,{base64.b64encode(p).decode()}">' for p in pictures)
    return f"<!doctype html><h1>일간 보고서</h1>{shown}"


def test_the_pages_pictures_go_beside_it_and_are_shown_where_they_stood() -> None:
    raw = report_mail(
        "일간 보고서", "a@b.test", ["c@d.test", "e@f.test"], "본문", page(PNG + b"1", PNG + b"2")
    )
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert (message["Subject"], message["To"]) == ("일간 보고서", "c@d.test, e@f.test")
    assert message.get_content_type() == "multipart/alternative"
    text, related = message.iter_parts()
    assert text.get_content().strip() == "본문"
    html, *pictures = related.iter_parts()
    shown = html.get_content()
    assert "data:" not in shown
    assert [picture.get_content() for picture in pictures] == [PNG + b"1", PNG + b"2"]
    for picture in pictures:
        assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in shown
        assert picture.get_content_disposition() == "inline"


def test_a_page_without_pictures_is_a_page_beside_its_text() -> None:
    message = email.message_from_bytes(
        report_mail("x", "a@b.test", ["c@d.test"], "text", page()), policy=email.policy.default
    )
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
