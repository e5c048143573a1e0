"""The report of a range of time: ``model`` says what it is, ``build`` makes it, the other modules write it."""
