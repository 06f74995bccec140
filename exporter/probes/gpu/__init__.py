"""GPUs of every vendor."""
