"""The native API over HTTP: typed routes, problems, events. Each file below `rest` and `events` holds some routes."""

from dais.api.application import Application
from dais.api.apps import Opening, expose_port, job_app_log, job_apps, open_job_app
from dais.api.asking import Asking, Asks, asks
from dais.api.auth import Authenticator, tokens_in_address
from dais.api.compat.acai import AcaiApplication
from dais.api.compat.eai import EaiApplication
from dais.api.context import Context, Parts, Services
from dais.api.downloads import Head, attachment, opened_file, send_file, send_pieces
from dais.api.errors import Disconnected, HttpProblem, describe
from dais.api.files import disk
from dais.api.groups import attach_group, change_group, check_engine, detach_group
from dais.api.images import (
    add_root_image,
    build_image,
    commit_job,
    forget_container_image,
    import_image,
    pull_image,
    remove_root_image,
    rescan_group,
)
from dais.api.kinds import KINDS, kind_named
from dais.api.limits import UserLimits
from dais.api.registries import check_registry, rescan_registry
from dais.api.rest import all_routes
from dais.api.rest.folders import make_folder
from dais.api.rest.jobs import check_job, make_job
from dais.api.routing import Header, Reply, Routes, read_body, send_json, send_whole
from dais.api.sse import ServerEvent
from dais.api.terminals import TerminalRequest, first_message, look

__all__ = [
    "Opening",
    "expose_port",
    "job_app_log",
    "job_apps",
    "open_job_app",
    "rescan_registry",
    "check_registry",
    "rescan_group",
    "remove_root_image",
    "pull_image",
    "import_image",
    "forget_container_image",
    "commit_job",
    "build_image",
    "add_root_image",
    "KINDS",
    "kind_named",
    "AcaiApplication",
    "Application",
    "Asking",
    "Asks",
    "Authenticator",
    "Context",
    "Disconnected",
    "EaiApplication",
    "Head",
    "Header",
    "HttpProblem",
    "Parts",
    "Reply",
    "Routes",
    "ServerEvent",
    "Services",
    "UserLimits",
    "TerminalRequest",
    "first_message",
    "look",
    "all_routes",
    "asks",
    "attach_group",
    "attachment",
    "change_group",
    "check_engine",
    "check_job",
    "describe",
    "detach_group",
    "disk",
    "make_folder",
    "make_job",
    "opened_file",
    "read_body",
    "send_file",
    "send_json",
    "send_pieces",
    "send_whole",
    "tokens_in_address",
]
