"""Tests of the pages: their blocks run, their links resolve, their lists are complete."""
