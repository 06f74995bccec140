"""The pages, a file each; every file reads like its page, from top to bottom."""
