"""The installation's certificate authority, for the supervisors on other machines.

Its certificate lies in the data directory, its key beside it, sealed with the installation's keys. Certificates are
made when they are needed, are good for as long as an allocation may last, and are kept nowhere.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dais.engines.supervised.authority import Proof
from dais.kit.errors import Unavailable
from dais.kit.vault import Vault
from dais.node.streams import valid_name

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CERTIFICATE_FILE, KEY_FILE = "nodes-ca.pem", "nodes-ca.key"
CONTEXT = "nodes-ca"
YEARS = 30
SKEW = datetime.timedelta(days=1)
"""By how much the clocks of machines may differ."""


class CertificateAuthority:
    """Reads the authority of a data directory when it is first needed, or makes it.

    Raises Unavailable `no-authority` when it can be neither read nor made.
    """

    def __init__(self, data_dir: Path, vault: Vault) -> None:
        self._certificate_file = data_dir / CERTIFICATE_FILE
        self._key_file = data_dir / KEY_FILE
        self._vault = vault
        self._loaded: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None

    @property
    def certificate(self) -> str:
        """The authority's own certificate, in PEM."""
        return _pem(self._load()[0])

    def issue(self, name: str, seconds: float) -> Proof:
        """A certificate with this one name, good for so many seconds. Raises ValueError for what cannot be a name."""
        from cryptography import x509

        authority, signing = self._load()
        key = _new_key()
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds) + SKEW
        made = (
            _begun(valid_name(name), authority.subject, key, min(until, authority.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(_both_uses(), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        )
        return Proof(certificate=_pem(_signed(made, signing)), key=_key_pem(key))

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        if self._loaded is None:
            try:
                if not self._key_file.exists():
                    self._make()
                self._loaded = self._read()
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"the authority for nodes ({self._certificate_file}, {self._key_file}) cannot be read or made: "
                    f"{error}; move both files away to have another made, which ends what runs on nodes",
                    code="no-authority",
                ) from error
        return self._loaded

    def _read(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        certificate = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
        opened = self._vault.open(self._key_file.read_text(), CONTEXT)
        key = load_pem_private_key(opened, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("the key is not the certificate's")
        return certificate, key

    def _make(self) -> None:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Dais nodes")])
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365 * YEARS)
        made = (
            _begun("Dais nodes", subject, key, until)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs(), critical=True)
        )
        # The key last: it is what tells whether both are there.
        _write(self._certificate_file, _pem(_signed(made, key)))
        _write(self._key_file, self._vault.seal(_key_pem(key).encode(), CONTEXT))


def _new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _begun(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime.datetime
) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.now(datetime.UTC) - SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(made: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return made.sign(key, hashes.SHA256())


def _both_uses() -> x509.ExtendedKeyUsage:
    """Either side of a connection may be the one that has made it."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _signs() -> x509.KeyUsage:
    from cryptography import x509

    nothing = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **nothing)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for the owner alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
