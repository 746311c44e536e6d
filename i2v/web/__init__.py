"""The front ends over HTTP: the REST API, the two published clients, and what keeps strangers out."""
