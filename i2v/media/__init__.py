"""Files in and out: pictures, videos, their names, their metadata. Knows no model of ours."""
