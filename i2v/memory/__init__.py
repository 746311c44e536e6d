"""What a job takes of the device and of CPU memory, and the ways to take less."""
