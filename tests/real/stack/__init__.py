"""The whole stack of real programs, on fake boxes; started once for all tests here."""
