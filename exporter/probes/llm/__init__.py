"""Servers of language models: which models they have loaded, in whose memory, and how long their queue is."""
