"""The panels of the LLM page, by what they are about."""
