"""Public keys for SSH: which are taken, and what is said of the others."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.identity import parse_public_key
from dais.identity.ssh_keys.parsing import fingerprint_of
from dais.kit.errors import Invalid


def made(tmp_path: Path, *words: str) -> str:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "ann at home", *words, "-f", str(tmp_path / "k")], check=True)
    return (tmp_path / "k.pub").read_text()


def string(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def line(kind: str, *parts: bytes) -> str:
    return f"{kind} {base64.b64encode(string(kind.encode(), *parts)).decode()}"


@pytest.mark.parametrize(
    "words",
    [("-t", "ed25519"), ("-t", "ecdsa", "-b", "256"), ("-t", "ecdsa", "-b", "521"), ("-t", "rsa", "-b", "2048")],
)
def test_what_openssh_makes_is_taken_and_called_as_openssh_calls_it(words: tuple[str, ...], tmp_path: Path) -> None:
    text = made(tmp_path, *words)
    key = parse_public_key(f"  {text}\n")
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "k.pub")], capture_output=True, text=True, check=True)
    assert key.fingerprint == shown.stdout.split()[1]
    assert key.comment == "ann at home"
    assert text.startswith(key.line + " ")


@pytest.mark.parametrize(
    "text, code, words",
    [
        (line("ssh-rsa", b"\1\0\1", b"\0" + b"\xc1" * 128), "weak-ssh-key", "1,024"),
        (line("ssh-dss", b"p", b"q", b"g", b"y"), "weak-ssh-key", "DSA"),
        (line("ssh-rsa", b"\2", b"\0" + b"\xc1" * 256), "bad-ssh-key", "damaged"),
        (line("ssh-ed25519", b"x" * 31), "bad-ssh-key", "damaged"),
        (line("ssh-ed25519", b"x" * 32, b"more"), "bad-ssh-key", "damaged"),
        (line("ecdsa-sha2-nistp256", b"nistp256", b"\2" + b"x" * 32), "bad-ssh-key", "damaged"),
        ("ssh-ed25519 " + line("ssh-rsa", b"\3", b"\xc1" * 256).split()[1], "bad-ssh-key", "damaged"),
        ("ssh-ed25519 AAAA!", "bad-ssh-key", "damaged"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "bad-ssh-key", "certificate"),
        ('command="true" ssh-ed25519 AAAA', "bad-ssh-key", "no kind of key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "bad-ssh-key", "ssh-keygen -i"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", "bad-ssh-key", "private"),
        ("ssh-ed25519 A\nssh-ed25519 B", "bad-ssh-key", "one line"),
        ("", "bad-ssh-key", "no kind"),
        ("ssh-ed25519 " + "A" * (16 << 10), "bad-ssh-key", "at most"),
    ],
)
def test_what_is_weak_or_no_key_is_refused_with_what_to_do(text: str, code: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as refusal:
        parse_public_key(text)
    assert refusal.value.code == code


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: f"ssh-rsa {base64.b64encode(data).decode()}"))
def test_nothing_else_happens_whatever_is_given(text: str) -> None:
    try:
        key = parse_public_key(text)
    except Invalid:
        return
    assert key.fingerprint == fingerprint_of(base64.b64decode(key.line.split()[1]))
