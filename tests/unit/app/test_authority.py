"""The authority for supervisors on other machines, and the settings of the way to them."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from dais.app.authority import CERTIFICATE_FILE, KEY_FILE, CertificateAuthority
from dais.app.remote import make_remote
from dais.engines.supervised.remote import SERVER_NAME, Remote, RemoteOptions
from dais.engines.supervised.settings import RemoteSettings
from dais.kit.errors import Invalid, Unavailable
from dais.kit.vault import Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "secrets.key")


def test_it_is_made_once_and_its_key_lies_sealed(tmp_path: Path, vault: Vault) -> None:
    first = CertificateAuthority(tmp_path, vault)
    assert not (tmp_path / KEY_FILE).exists(), "nobody needs it yet"
    proof = first.issue("alloc-1", 60)
    again = CertificateAuthority(tmp_path, vault)
    assert again.certificate == first.certificate
    x509.load_pem_x509_certificate(proof.certificate.encode()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(again.certificate.encode())
    )
    for name in (KEY_FILE, CERTIFICATE_FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert "PRIVATE" not in (tmp_path / name).read_text()
    assert proof.key not in repr(proof)


def test_a_certificate_has_one_name_and_its_time(tmp_path: Path, vault: Vault) -> None:
    made = CertificateAuthority(tmp_path, vault).issue("alloc-1", 3600)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["alloc-1"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    day = datetime.timedelta(days=1)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= 2 * day + datetime.timedelta(hours=2)


@pytest.mark.parametrize("name", ["", "-", "A", "a.b", "a_b", "x" * 64, "a/b", "a\n", "é"])
def test_what_can_be_no_name_is_refused(tmp_path: Path, vault: Vault, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        CertificateAuthority(tmp_path, vault).issue(name, 60)


def test_nobody_is_invited_under_the_server_s_name(tmp_path: Path, vault: Vault) -> None:
    with pytest.raises(ValueError, match="server's own name"):
        Remote(CertificateAuthority(tmp_path, vault)).invite(SERVER_NAME, 60)


def test_a_damaged_authority_says_what_to_do(tmp_path: Path, vault: Vault) -> None:
    CertificateAuthority(tmp_path, vault).issue("alloc-1", 60)
    (tmp_path / CERTIFICATE_FILE).write_text("damaged")
    with pytest.raises(Unavailable, match="move both files away"):
        CertificateAuthority(tmp_path, vault).issue("alloc-1", 60)


@pytest.mark.parametrize(
    "given, wanted",
    [
        ({}, RemoteOptions()),
        ({"listen": "0.0.0.0:7878", "address": "dais.lab:443"},
         RemoteOptions(listen=("0.0.0.0", 7878), public=("dais.lab", 443))),
        ({"listen": "[::]:1", "ports": "40000-40100"}, RemoteOptions(listen=("::", 1), ports=(40000, 40100))),
        ({"ports": "none", "watch": 10.0}, RemoteOptions(ports=None, watch=10.0)),
    ],
)  # fmt: skip
def test_settings_are_parsed(given: dict[str, Any], wanted: RemoteOptions) -> None:
    assert RemoteSettings(**given).options() == wanted


@pytest.mark.parametrize("given", [{"listen": "a:70000"}, {"ports": "9-8"}, {"ports": "1-70000"}])
def test_settings_that_make_no_sense_are_told(tmp_path: Path, vault: Vault, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(given))):
        make_remote(tmp_path, {"remote": RemoteSettings(**given)}, vault)
