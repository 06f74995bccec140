"""When probes run, what is kept of them, and what a scrape gets."""
