"""What is written for people; the page of the metrics is made from the code by ``python -m docs``."""
