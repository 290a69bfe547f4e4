"""Files that are complete or not there: atomic writing, hashing, downloading, tables. Imports nothing of ours."""
