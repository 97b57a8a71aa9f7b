"""Bulk load: generations from where they are published onto a serving host, and which one answers.

    cli            the verbs: list, load, verify, activate, rollback, status, gc
    published      generation directories on any filesystem: names, manifests, files
    retry          how often a storage that fails is asked again
    admission      what a manifest must say before a byte is copied
    copying        one file, hashed while it is copied; two of them at a time (parallel)
    store_check    every row of a store against the manifest
    load, verify   a generation onto this host; a deep check of what is there
    activate       which generation answers: the pointer, and back
    host, files    what lies on this host; writes that survive a crash
    status, gc     what a person asks about it; what may be removed

In: `manifest.json` and SST files (impressions/formats/manifest.py). Out: a host's data directory
(impressions/formats/generation_paths.py names every file of it), which `serving` reads. Two
promises hold it up: nothing that was refused leaves a trace, and a load that was killed at any
moment is as if it had not begun. Both rest on one order of steps: work in `loading/`, one rename,
then the pointer.
"""
