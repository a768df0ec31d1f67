"""A path or an address of an object store comes in; files that are written whole, and objects on this machine, go out.

`files` writes files whole or not at all. `address` is a path's counterpart on an object store (S3 and what speaks like
it), and the only importer of fsspec; `cache` brings objects to this machine: a
recording for as long as it is read, a shard into a cache. Nothing of it is loaded without such an address.
"""
