"""The named moments at which chaos kills a process: before or after a function, in the server, the
supervisor, or `dais gc` beside them.

Nothing in the product knows of them: `inject` wraps the functions in the process that is to die. A test checks that
every target is there, so that a name that moves is moved here, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SERVER, SUPERVISOR, COLLECTOR = "server", "supervisor", "collector"


@dataclass(frozen=True)
class Point:
    """`target` is `module:name` or `module:Class.name`; `area` says in which part of a life it lies."""

    name: str
    process: str
    area: str
    target: str
    when: str


def _both(process: str, area: str, **targets: str) -> Iterator[Point]:
    for name, target in targets.items():
        for when in ("before", "after"):
            yield Point(f"{when}-{name.replace('_', '-')}", process, area, target, when)


JOBS = (
    *_both(
        SERVER,
        "jobs",
        submit="dais.compute.jobs.submit:submit_job",
        batch="dais.kit.database.sqlite:SqliteDatabase._run_batch",
        answer="dais.kit.database.sqlite:deliver",
        tick="dais.compute.loops.tick:tick",
        launch="dais.engines.local.engine:LocalEngine.launch",
        handles="dais.compute.jobs.runs:store_handles",
        stage="dais.compute.loops.staging:stage",
        materialize="dais.data.sources:materialize",
        prepared="dais.compute.jobs.runs:mark_prepared",
        acknowledge="dais.engines.local.engine:LocalEngine.acknowledge",
        stop="dais.engines.local.engine:LocalEngine.stop",
        ship="dais.compute.logs:ship",
        close="dais.compute.jobs.runs:close_run",
        forget="dais.engines.local.engine:LocalEngine.forget",
        clean_up="dais.compute.loops.staging:clean_up",
        numbering="dais.kit.outbox:number_events",
        reconcile="dais.compute.loops.dispatcher:Dispatcher._reconcile",
        sweep="dais.compute.loops.dispatcher:Dispatcher._sweep",
        cancel="dais.compute.jobs.runs:cancel",
    ),
    *_both(
        SUPERVISOR,
        "jobs",
        accept="dais.node.supervisor:Supervisor.launch",
        journal="dais.node.journal:Journal.append",
        start="dais.node.attempt:Attempt.start",
        spawn="dais.node.launch:Machine.launch",
        record="dais.node.supervisor:Supervisor.emit",
        flush="dais.node.records:Records.flush",
        send="dais.node.supervisor:Supervisor.send_records",
        acknowledged="dais.node.records:Records.acknowledge",
        end="dais.node.attempt:Attempt._end",
        reap="dais.node.supervisor:Supervisor.reap",
        forgotten="dais.node.supervisor:Supervisor.forget",
        recovery="dais.node.recovery:clear",
    ),
)

TRANSFERS = tuple(
    _both(
        SERVER,
        "transfers",
        folder_row="dais.data.commands:create_folder",
        folder_directory="dais.data.folder_store:FolderStore.create",
        pack="dais.data.uploads:write_pack",
        group="dais.data.uploads:_write_group",
        place="dais.data.uploads:_place",
        piece="dais.data.pieces:Pieces._append",
        verify="dais.data.pieces:Pieces._verify",
        finish="dais.data.uploads:_finish",
        publish="dais.data.commands:publish_folder",
        remove="dais.data.commands:remove_folder",
        blobs="dais.data.blobs:BlobStore._put_group",
        blob_place="dais.data.blobs:BlobStore._place",
        source="dais.data.sources:store_source",
    )
)

LAKE = (
    *_both(COLLECTOR, "lake", collect="dais.data.blobs:BlobStore.collect"),
    *_both(
        SERVER,
        "lake",
        contents="dais.data.lake.contents:check_contents",
        commit="dais.data.lake.files:commit_files",
        count="dais.data.lake.files:_new_version",
        set="dais.data.lake.sets:create_file_set",
        set_version="dais.data.lake.sets:make_set_version",
        recipe="dais.data.blobs:BlobStore.put_recipe",
        recipe_place="dais.data.blobs:BlobStore._keep_recipe",
        content_piece="dais.data.blobs:BlobStore.put_piece",
        tree="dais.compute.loops.trees:Trees.ensure",
        tree_place="dais.compute.loops.trees:Trees._place",
        gather="dais.data.gathering:take",
        output="dais.data.lake.pins:make_output_set",
    ),
)

UPGRADES = tuple(
    _both(
        SERVER,
        "upgrades",
        upgrade="dais.kit.database.migrate:upgrade",
        copy="dais.kit.database.migrate:_keep",
        steps="alembic.command:upgrade",
        each_step="alembic.runtime.migration:HeadMaintainer.update_to_step",
    )
)

POINTS = (*JOBS, *TRANSFERS, *LAKE, *UPGRADES)
