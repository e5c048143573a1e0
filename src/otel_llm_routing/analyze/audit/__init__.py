"""The audit: which models a source tree names, what kind of name each is, and whether anybody decided so."""
