"""What `scripts/start_app.sh` does once there is an environment: start the server, and look after it."""
