"""The SSH key pair that each run of an interactive job has of its own: whoever may read its files may come in by it.

As Backend.AI has it: the private half is `id_container` in the home, to be copied out; the public half is what an sshd
in the job lets in. It is made at the launch, is nowhere but in the job's memory, and is good for that run alone.
"""

from __future__ import annotations

from dais.engines.contract import File
from dais.wire.inputs import WORK_DIRECTORY

PRIVATE = f"{WORK_DIRECTORY}/id_container"
ALLOWED = f"{WORK_DIRECTORY}/.ssh/authorized_keys"


def new_key_files(job_id: str) -> tuple[File, File]:
    """A new pair, as files of a home."""
    from cryptography.hazmat.primitives import serialization  # 8 MB, and many servers never need it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    openssh = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return (
        File(target=PRIVATE, content=key.private_bytes(*openssh), mode=0o600),
        File(target=ALLOWED, content=public + f" job-{job_id}\n".encode(), mode=0o600),
    )
