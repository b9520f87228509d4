"""Sandboxes in Docker, or in podman by its socket."""
