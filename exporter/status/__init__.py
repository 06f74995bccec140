"""How each probe fares, for people: the start-up screen, the status page, doctor."""
