"""Tor, asked by a real request through it."""
