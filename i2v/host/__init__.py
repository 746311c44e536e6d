"""This machine as the server sees it: addresses, the token file, the lock on the data folder, log files."""
