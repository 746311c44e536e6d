"""What a job is, where it is kept, and how long it will take."""
