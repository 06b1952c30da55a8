"""Compute: jobs, their runs, the machines they run on, and what keeps them going."""

from dais.compute.activity import Activity, ActivityKind
from dais.compute.apps.commands import running_app
from dais.compute.apps.definition import Definition, address, read_definition
from dais.compute.apps.types import App, AppState, OpenedApp
from dais.compute.code.desk import CodeDesk
from dais.compute.code.sessions import open_session
from dais.compute.environments.commands import remove_environment
from dais.compute.environments.queries import environment_row, get_environment, list_environments
from dais.compute.figures import Figures, figures
from dais.compute.given_up import give_up_group, save_logs
from dais.compute.groups.attached import (
    check_new_group,
    check_removal,
    find_group,
    forget_group,
    get_group,
    list_groups,
    new_group,
    remove_group,
    set_group,
)
from dais.compute.groups.kinds import EngineKind, Kinds, find_kind, read_options, written_options
from dais.compute.groups.queries import DEFAULT_GROUP, group_problems, list_nodes
from dais.compute.images.asking import asked as asked_registry
from dais.compute.images.catalogue import resource_of_image
from dais.compute.images.changes import add_container_image, forget_image, owner_of, remove_alias, set_alias
from dais.compute.images.commands import add_image, check_new_image, remove_image, store_image_size
from dais.compute.images.described import IMAGE
from dais.compute.images.keeper import ImageKeeper
from dais.compute.images.maker import ImageMaker
from dais.compute.images.making import (
    NewBuild,
    begin_build,
    begin_commit,
    begin_import,
    enter_found,
    image_log,
    is_root_group,
    rescan_store,
    see_image,
    source_image,
    store_group,
)
from dais.compute.images.queries import get_image, image_row, list_images
from dais.compute.images.registries import (
    RegistryChange,
    get_allowed,
    list_registries,
    registry_access,
    remove_registry,
    reseal_registries,
    set_allowed,
    set_registry,
)
from dais.compute.inside import program, python_in, run_program
from dais.compute.interactive.home import (
    get_dotfile,
    list_dotfiles,
    read_dotfile,
    remove_dotfile,
    reseal_dotfiles,
    set_dotfile,
)
from dais.compute.interactive.idle import IdleWatch
from dais.compute.interactive.limits import own_interactive_limits, set_interactive_limit
from dais.compute.interactive.settings import InteractiveSettings
from dais.compute.jobs.commands import JobChange, kill_job, remove_job, retry_job, set_job
from dais.compute.jobs.described import JOB
from dais.compute.jobs.exposing import expose_job, exposed_ports
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.mounts import jobs_mounting, remove_unused_folder
from dais.compute.jobs.outputs import Partial, find_partial
from dais.compute.jobs.queries import JobFilter, find_job, get_job, list_jobs
from dais.compute.jobs.reaching import (
    DEFAULT_TARGET,
    Place,
    Reached,
    no_such_app,
    place_label,
    placed_job,
    reach,
)
from dais.compute.jobs.running import running_work
from dais.compute.jobs.submit import check_spec, submit_job
from dais.compute.jobs.types import Work
from dais.compute.jobs.using import remove_unused_file, remove_unused_file_set
from dais.compute.logbook import JobLog, Logbook, Slice, job_log, position_from
from dais.compute.logs import Position, Shipped, decode_segments
from dais.compute.loops.staging import tree_size
from dais.compute.meter import SAMPLE_SECONDS, Sample
from dais.compute.notify.commands import Wishes, get_wishes, new_signing, reseal_signing, set_targets
from dais.compute.notify.notifier import Notifier
from dais.compute.notify.settings import NotifySettings
from dais.compute.provisioning.commands import cancel_template, register_template, remove_template
from dais.compute.provisioning.hints import fill_in
from dais.compute.provisioning.predicting import predict, submit_provisioned
from dais.compute.provisioning.profiling import Profiler
from dais.compute.provisioning.queries import find_template, get_template, list_templates
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.compute.reports.queries import get_report, latest_metrics
from dais.compute.reproducing.commands import reproduce_job
from dais.compute.reproducing.comparing import get_reproduction, reproduces, reproductions_of
from dais.compute.retention.blobs import collect_blobs
from dais.compute.retention.logs import LogLimits, LogLimitsChange, get_log_limits, list_log_limits, set_log_limits
from dais.compute.retention.loop import Retention
from dais.compute.runtime import Compute
from dais.compute.secrets.commands import remove_secret, reseal_secrets, set_secret
from dais.compute.secrets.queries import get_secret, list_secrets, secret_values
from dais.compute.secrets.types import Secret
from dais.compute.settings import ComputeSettings
from dais.compute.terminals.held import Held, Viewer
from dais.compute.terminals.settings import TerminalSettings

__all__ = [
    "Activity",
    "ActivityKind",
    "App",
    "AppState",
    "Definition",
    "OpenedApp",
    "address",
    "read_definition",
    "running_app",
    "get_reproduction",
    "reproduce_job",
    "reproduces",
    "reproductions_of",
    "registry_access",
    "enter_found",
    "asked_registry",
    "get_report",
    "latest_metrics",
    "IMAGE",
    "JOB",
    "DEFAULT_TARGET",
    "Place",
    "Reached",
    "expose_job",
    "exposed_ports",
    "no_such_app",
    "place_label",
    "own_interactive_limits",
    "placed_job",
    "reach",
    "DEFAULT_GROUP",
    "FINAL",
    "SAMPLE_SECONDS",
    "CodeDesk",
    "Compute",
    "ComputeSettings",
    "EngineKind",
    "Figures",
    "ImageKeeper",
    "ImageMaker",
    "JobChange",
    "JobFilter",
    "JobLog",
    "Kinds",
    "LogLimits",
    "LogLimitsChange",
    "Logbook",
    "NewBuild",
    "Notifier",
    "NotifySettings",
    "Partial",
    "Position",
    "Profiler",
    "ProvisioningSettings",
    "RegistryChange",
    "Retention",
    "Sample",
    "Secret",
    "Shipped",
    "Slice",
    "IdleWatch",
    "InteractiveSettings",
    "TerminalSettings",
    "get_dotfile",
    "list_dotfiles",
    "read_dotfile",
    "remove_dotfile",
    "reseal_dotfiles",
    "set_dotfile",
    "Held",
    "Viewer",
    "Wishes",
    "Work",
    "add_container_image",
    "add_image",
    "begin_build",
    "begin_commit",
    "begin_import",
    "cancel_template",
    "check_new_group",
    "check_new_image",
    "check_removal",
    "check_spec",
    "collect_blobs",
    "decode_segments",
    "environment_row",
    "figures",
    "fill_in",
    "find_group",
    "find_job",
    "find_kind",
    "find_partial",
    "find_template",
    "forget_group",
    "forget_image",
    "get_allowed",
    "get_environment",
    "get_group",
    "give_up_group",
    "get_image",
    "get_job",
    "get_log_limits",
    "get_secret",
    "get_template",
    "get_wishes",
    "group_problems",
    "image_log",
    "image_row",
    "is_root_group",
    "job_log",
    "jobs_mounting",
    "kill_job",
    "list_environments",
    "list_groups",
    "list_images",
    "list_jobs",
    "list_log_limits",
    "list_nodes",
    "list_registries",
    "list_secrets",
    "list_templates",
    "new_group",
    "new_signing",
    "open_session",
    "owner_of",
    "position_from",
    "predict",
    "program",
    "python_in",
    "read_options",
    "register_template",
    "remove_alias",
    "remove_environment",
    "remove_group",
    "remove_image",
    "remove_job",
    "remove_registry",
    "remove_secret",
    "remove_template",
    "remove_unused_file",
    "remove_unused_file_set",
    "remove_unused_folder",
    "rescan_store",
    "reseal_registries",
    "reseal_secrets",
    "reseal_signing",
    "resource_of_image",
    "retry_job",
    "run_program",
    "running_work",
    "secret_values",
    "see_image",
    "set_alias",
    "set_allowed",
    "save_logs",
    "set_group",
    "set_job",
    "set_interactive_limit",
    "set_log_limits",
    "set_registry",
    "set_secret",
    "set_targets",
    "source_image",
    "store_group",
    "store_image_size",
    "submit_job",
    "submit_provisioned",
    "tree_size",
    "written_options",
]
