"""The five questions to ask of a surface before its model is left to somebody else, answered from evidence."""
