"""The REST API and the published clients."""
