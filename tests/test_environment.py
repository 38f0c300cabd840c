"""What the environment says of where trainings run."""

import pytest

from convoy import environment
from convoy.errors import UsageError


@pytest.mark.parametrize("told", ["0", "-1", "two", "", "1.5"])
def test_a_number_of_devices_that_is_none_is_refused(told: str) -> None:
    with pytest.raises(UsageError, match=f"CONVOY_DEVICES is '{told}': it is the number"):
        environment.devices({"CONVOY_DEVICES": told})


def test_where_trainings_run_is_said_by_the_environment() -> None:
    assert (environment.devices({}), environment.devices({"CONVOY_DEVICES": "2"})) == (1, 2)
    found = [environment.reader({"CONVOY_READER": told}) for told in ("", "disk", "device")]
    assert found == [None, "disk", "device"] and environment.reader({}) is None
    with pytest.raises(UsageError, match="CONVOY_READER is 'ram': it is device, disk, or not set"):
        environment.reader({"CONVOY_READER": "ram"})
    chosen = [environment.compiled({"CONVOY_COMPILE": told}) for told in ("", "yes", "no")]
    assert chosen == [None, True, False] and environment.compiled({}) is None
    with pytest.raises(UsageError, match="CONVOY_COMPILE is 'maybe': it is yes, no, or not set"):
        environment.compiled({"CONVOY_COMPILE": "maybe"})
