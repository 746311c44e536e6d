"""What everything else speaks in: errors, requests, settings. Knows no model, file format or server."""
