"""Files on a local disk or in an object store, by one path or URI.

directory      read, replace, list and delete below a path or a URI
local_files    small files of this machine, replaced whole
"""
