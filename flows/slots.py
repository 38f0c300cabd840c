"""Devices that a training has for itself: a limit of Prefect's first, then the machine's own lock.

The limit shows everybody who waits for what, spans machines that share one (a container's host),
and keeps the device for a minute after its holder was killed, while what that had started ends.
The lock holds also where Prefect's server is away or forgets (`convoy.slots`).
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from threading import Timer

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from convoy import prefect_server, slots
from convoy.progress import Step, report

LEASE = 60.0
"""Seconds for which Prefect keeps a slot of a holder that is gone: the least that it allows."""
NOTICE = 3.0
"""Seconds without the device until that is said."""


@contextmanager
def device(step: str) -> Iterator[None]:
    """Hold this machine's device, if its trainings are kept apart; wait where it is taken."""
    found = slots.names()
    if not found:
        yield
        return
    with ExitStack() as held:
        if prefect_server.OWN not in os.environ:  # where nobody else would see the limit
            _queue(held, step, found)
        held.enter_context(slots.locked(step, found))
        report(Step(step, "running"))
        yield


def _queue(held: ExitStack, step: str, devices: tuple[str, ...]) -> None:
    """Take a slot of each device on Prefect's server; say so where that takes a while."""
    _create_limits(devices)
    said = Step(step, "running", f"waits for {', '.join(devices)}")
    notice = Timer(NOTICE, copy_context().run, (report, said))
    notice.start()
    try:
        taken = concurrency(
            list(devices), lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False
        )
        held.enter_context(taken)
    finally:
        notice.cancel()


def _create_limits(devices: tuple[str, ...]) -> None:
    """Have a limit of each device, of one where nobody has said otherwise."""
    with get_client(sync_client=True) as client:
        for name in devices:
            try:
                client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                with suppress(ObjectAlreadyExists):  # another run's
                    client.create_global_concurrency_limit(
                        GlobalConcurrencyLimitCreate(name=name, limit=1)
                    )
