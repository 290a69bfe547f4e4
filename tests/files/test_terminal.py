"""What strangers' files say reaches a terminal without escapes, passwords or an error about its encoding."""

import io
import logging
import sys
import traceback

import pytest

from sg3x.files.terminal import one_line, plain_output, without_passwords

HARMLESS = ["plain", "exp[v2]/m", "a[/b]/m", "Fréchet → 3 ± 0.1 …", "日本語", "🐈"]
CONTROLS = [
    "\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "\x08", "\x7f", "\x00", "\x0b", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff",
    "\U000e0041", "\x85",
]  # fmt: skip
PASSWORDS = [
    ("https://me:pass@host/x.zip", "https://***@host/x.zip"),
    ("cannot get 'http://me@host:80/a?b=1': refused", "cannot get 'http://***@host:80/a?b=1': refused"),
    ("https://me:p@ss@host/x", "https://***@host/x"),
    ("HTTPS://Me:Pass@Host/", "HTTPS://***@Host/"),
    ("s3://key:secret@bucket/x", "s3://***@bucket/x"),
    ("https://h/x?token=abc&dl=1", "https://h/x?token=***&dl=1"),
    ("https://h/x?X-Amz-Signature=abc&rlkey=kept", "https://h/x?X-Amz-Signature=***&rlkey=kept"),
    ("https://h/x?access_token=a#b", "https://h/x?access_token=***#b"),
    ("two: https://a:b@c/ https://d:e@f/", "two: https://***@c/ https://***@f/"),
]
NO_PASSWORDS = [
    "me@host",
    "git@github.com:a/b",
    "https://h/p/x@2.png",
    "https://h/?email=a@b.c",
    "https://h/x?rlkey=a&dl=1",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_words_stay(text):
    assert one_line(text) == text


@pytest.mark.parametrize("text", [*CONTROLS, "\n", "\r", "\t"])
def test_controls_are_shown_instead_of_obeyed(text):
    shown = one_line(f"a{text}b")
    assert shown.isprintable() and shown[0] == "a" and shown[-1] == "b" and "\\" in shown


@pytest.mark.parametrize(("text", "shown"), PASSWORDS)
def test_passwords_are_hidden(text, shown):
    assert without_passwords(text) == shown == one_line(text)


@pytest.mark.parametrize("text", NO_PASSWORDS)
def test_what_is_no_password_stays(text):
    assert without_passwords(text) == text


def terminal(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)


def said(stream):
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("say", [
    print,
    lambda text: print(text, file=sys.stderr),
    sys.displayhook,
    lambda text: sys.stdout.writelines([text]),
    lambda text: logging.StreamHandler().emit(logging.makeLogRecord({"msg": text})),
    lambda text: traceback.print_exception(ValueError(text)),
])  # fmt: skip
@pytest.mark.parametrize("text", [*CONTROLS, "https://me:pass@host/"])
def test_every_way_to_print_is_plain(monkeypatch, say, text):
    stream = terminal("utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    with plain_output():
        say(f"a{text}b\n")
    assert sys.stdout is stream and "b" in said(stream)
    assert "pass" not in said(stream) and all(letter.isprintable() or letter == "\n" for letter in said(stream))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("text", [*HARMLESS, "not-utf8-\udcff.png", "half \ud83d"])
def test_no_encoding_is_an_error(monkeypatch, encoding, text):
    stream = terminal(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with plain_output():
        print(text)
    assert said(stream).strip()


def test_an_ascii_terminal_reads_well(monkeypatch):
    stream = terminal("ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with plain_output():
        print("8 → 16 × 2 ± 1 …")
    assert said(stream) == "8 -> 16 x 2 +- 1 ...\n"


def test_a_stream_that_wraps_another_stays_in_place(monkeypatch):
    class Wrapping:
        def __init__(self, stream):
            self.stream = stream

        def write(self, text):
            self.stream.write(text)

    stream = terminal("ascii")
    outer = Wrapping(stream)
    monkeypatch.setattr(sys, "stdout", outer)
    monkeypatch.setattr(sys, "stderr", None)
    with plain_output():
        assert sys.stdout is outer
        print("a\x1bb")
        assert sys.stderr is None
    assert outer.stream is stream and said(stream) == "a\\x1bb\n"
