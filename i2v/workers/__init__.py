"""Who runs the jobs: the worker, one attempt at a job, and the processes that are watched."""
