"""What a Dask worker loads first: `dask worker ADDRESS --nthreads 1 --preload flows.worker`.

The project's environment has to stand before Prefect and MLflow are imported. And Dask has each
worker compute with one thread; here the programs that it starts compute, with their share.
"""

import os

import dask

from convoy import environment
from convoy.project import Project

environment.apply(Project.find())
for _name, _value in dask.config.get("distributed.nanny.pre-spawn-environ").items():
    if os.environ.get(_name) == str(_value):
        del os.environ[_name]
