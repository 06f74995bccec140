"""systemd's units and timers."""
