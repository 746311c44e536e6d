"""Who runs jobs: `inline`, in the caller's process, and `process`, in a worker process that is watched."""
