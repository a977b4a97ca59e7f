"""Allocation's own tables: cases as they are searched, workers and their hours, what processes remember of the registry."""
