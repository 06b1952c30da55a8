"""The classes of ACAI's SDK on Dais's own API: `from dais.acai import File, FileSet, Job`.

Signatures and results are those of the public documentation; what is wrong in the original works here. Where to connect
and as whom comes from ACAI_TOKEN and ACAI_PROJECT, `~/.acai/credentials`, or a profile of Dais; the address is
DAIS_URL's or the profile's.
"""

from __future__ import annotations

from dais.acai.credentials import Credentials, has_logged_in, login, refresh
from dais.acai.errors import AcaiError
from dais.acai.file import File, UploadFileMapping
from dais.acai.fileset import FileSet, FilesList
from dais.acai.job import Job, JobStatus
from dais.acai.meta import Condition, Meta
from dais.acai.project import Project

__all__ = [
    "AcaiError",
    "Condition",
    "Credentials",
    "File",
    "FileSet",
    "FilesList",
    "Job",
    "JobStatus",
    "Meta",
    "Project",
    "UploadFileMapping",
    "has_logged_in",
    "login",
    "refresh",
]
