"""All that the front ends know: submit, follow, cancel, fetch."""
