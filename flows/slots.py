"""Devices that a training has for itself: a limit of Prefect's first, then the machine's own lock.

The limit shows everybody who waits for what, spans machines that share one (a container's host),
and keeps the device for a minute after its holder was killed, while what that had started ends.
The lock holds also where Prefect's server is away or forgets (`convoy.slots`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from convoy import prefect_server, slots
from convoy.progress import Step, report

LEASE = 60.0
"""Seconds for which Prefect keeps a slot of a holder that is gone: the least that it allows."""


@contextmanager
def device(step: str) -> Iterator[None]:
    """Hold this machine's device, if its trainings are kept apart; wait where it is taken."""
    found = slots.names()
    if not found:
        yield
        return
    if prefect_server.OWN in os.environ:  # nobody else would see the limit
        with slots.locked(step, found):
            yield
        return
    if not all(_is_free(name) for name in found):
        report(Step(step, "running", f"waits for {', '.join(found)}"))
    with (
        concurrency(
            list(found), lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False
        ),
        slots.locked(step, found),
    ):
        report(Step(step, "running"))
        yield


def _is_free(name: str) -> bool:
    """Tell whether a device has a slot now; the limit is created at first, of one."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # another run's
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )
            return True
    return found.active_slots < found.limit
