"""What the operating system is asked for: processes, threads, files, the service manager, the log."""
