"""A task that spawns `true`, for Celery on the Redis that BENCH_QUEUE names; used as `procrastinate_app` is.

How many have been done is counted in that Redis by the tasks themselves, for Celery's own results would cost more.
"""

from __future__ import annotations

import os
import sys
import time

import celery
import redis

address = os.environ["BENCH_QUEUE"]
app = celery.Celery("bench", broker=address)
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
store = redis.Redis.from_url(address)


@app.task(name="no_op")
def no_op() -> None:
    pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
    os.waitpid(pid, 0)
    store.incr("done")


def enqueue(count: int) -> float:
    store.delete("done")
    begun = time.monotonic()
    for _ in range(count):
        no_op.delay()
    while int(store.get("done") or 0) < count:
        time.sleep(0.02)
    return count / (time.monotonic() - begun)


if __name__ == "__main__":
    print(enqueue(int(sys.argv[1])))
