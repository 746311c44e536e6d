"""Jobs on other machines, by Ray: the only package that imports it, and never while it is imported itself.

`dispatcher` is a process beside the service, started by `executors.ray`; `places` says which devices the
cluster has, a `lane` runs jobs on one of them by an `actor` there, and `node` starts Ray on a machine.
"""
