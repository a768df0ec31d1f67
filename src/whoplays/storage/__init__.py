"""Recordings and data sets on object stores (S3 and what speaks like it), where a path on a disk would do as well.

`address` is a path's counterpart there, and the only importer of fsspec; `fetched` brings objects to this machine: a
recording for as long as it is read, a shard into a cache. Nothing of it is loaded without such an address.
"""
