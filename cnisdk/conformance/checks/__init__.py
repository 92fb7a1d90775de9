"""The checks, a module for each family; importing this registers all of them in `REGISTRY`.

The order is that in which a person reads a report: what a call is given, what comes back, what
each verb does, what may go wrong.
"""

from cnisdk.conformance.check import REGISTRY as REGISTRY  # noqa: I001 - the order of the report
from cnisdk.conformance.checks import (
    parameters as parameters,
    config as config,
    errors as errors,
    version as version,
    add as add,
    versions as versions,
    chained as chained,
    ipam as ipam,
    check as check,
    delete as delete,
    gc as gc,
    status as status,
    delegation as delegation,
    surroundings as surroundings,
    concurrency as concurrency,
    kill as kill,
)
