"""Compute: jobs, their runs, the machines they run on, and what keeps them going."""

from dais.compute.environments.commands import remove_environment
from dais.compute.environments.queries import environment_row, get_environment, list_environments
from dais.compute.figures import Figures, figures
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
from dais.compute.images.commands import add_image, check_new_image, remove_image, store_image_size
from dais.compute.images.queries import get_image, image_row, list_images
from dais.compute.jobs.commands import JobChange, kill_job, remove_job, retry_job, set_job
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.mounts import jobs_mounting, remove_unused_folder
from dais.compute.jobs.queries import JobFilter, find_job, get_job, list_jobs
from dais.compute.jobs.submit import check_spec, submit_job
from dais.compute.jobs.types import Work
from dais.compute.logbook import JobLog, Logbook, Slice, job_log, position_from
from dais.compute.logs import Position, Shipped, decode_segments
from dais.compute.loops.staging import tree_size
from dais.compute.meter import SAMPLE_SECONDS, Sample
from dais.compute.notify.commands import Wishes, get_wishes, new_signing, reseal_signing, set_targets
from dais.compute.notify.notifier import Notifier
from dais.compute.notify.settings import NotifySettings
from dais.compute.retention.blobs import collect_blobs
from dais.compute.retention.logs import LogLimits, LogLimitsChange, get_log_limits, list_log_limits, set_log_limits
from dais.compute.retention.loop import Retention
from dais.compute.runtime import Compute, running_work
from dais.compute.secrets.commands import remove_secret, reseal_secrets, set_secret
from dais.compute.secrets.queries import get_secret, list_secrets
from dais.compute.secrets.types import Secret
from dais.compute.settings import ComputeSettings

__all__ = [
    "group_problems",
    "DEFAULT_GROUP",
    "written_options",
    "read_options",
    "find_kind",
    "Kinds",
    "EngineKind",
    "set_group",
    "remove_group",
    "new_group",
    "list_groups",
    "get_group",
    "forget_group",
    "find_group",
    "check_new_group",
    "check_removal",
    "SAMPLE_SECONDS",
    "Sample",
    "Shipped",
    "FINAL",
    "Compute",
    "ComputeSettings",
    "Figures",
    "JobChange",
    "JobFilter",
    "JobLog",
    "LogLimits",
    "LogLimitsChange",
    "Logbook",
    "Notifier",
    "NotifySettings",
    "Position",
    "Retention",
    "Secret",
    "Slice",
    "Wishes",
    "Work",
    "add_image",
    "check_new_image",
    "check_spec",
    "collect_blobs",
    "decode_segments",
    "environment_row",
    "figures",
    "find_job",
    "get_environment",
    "get_image",
    "get_job",
    "get_log_limits",
    "get_secret",
    "get_wishes",
    "image_row",
    "job_log",
    "jobs_mounting",
    "kill_job",
    "list_environments",
    "list_images",
    "list_jobs",
    "list_log_limits",
    "list_nodes",
    "list_secrets",
    "new_signing",
    "position_from",
    "remove_environment",
    "remove_image",
    "remove_job",
    "remove_secret",
    "remove_unused_folder",
    "reseal_secrets",
    "reseal_signing",
    "retry_job",
    "running_work",
    "set_job",
    "set_log_limits",
    "set_secret",
    "set_targets",
    "store_image_size",
    "submit_job",
    "tree_size",
]
