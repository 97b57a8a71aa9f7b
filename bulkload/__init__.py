"""Bulk load: copy published generations to a serving host, and choose which one answers.

    cli                     verbs: sync, list, load, verify, activate, rollback, status, gc, heal
    summaries               what a verb did, for people
    listing                 list: which generations are published, and which fit this host
    load                    load: the verb, and its steps in order
    load_job                step 1: the manifest, and the host that the generation goes to
    load_checks             step 2: is it loaded already, and can the load succeed
    load_steps              steps 3 to 6: copy, ingest, check every row, install
    verify                  verify: read every byte and row again
    activate                activate: let a loaded generation answer
    rollback                rollback: go back to an older one, and mark the one that is left
    host_status             status: which generation is active, loaded, damaged, unfinished
    gc                      gc: remove old generations and what dead loads left

    sync                    sync: newest, checked, active, cleaned up: what a timer runs
    check                   which generations are rotten
    heal                    heal: a rotten one is loaded again

    published_generations   where generations are published, on any filesystem
    compatibility           the checks of a manifest before anything is copied
    copying                 one file, hashed while it is copied
    parallel                two files at a time
    retry                   retries of reads from the storage
    store_check             every row of a store compared with the manifest
    readiness               the proof that a loaded generation will answer
    seam_gate               the proof that it answers like the active one, with the host's deltas
    swap                    what an activation or a rollback did
    outcomes                what each verb did, for the record of its run

    host                    a host's data directory: pointer, generations, loads, locks
    loaded_generations      which are loaded, their records, which were rolled back
    unfinished_loads        loading/: work in progress
    own_directories         which directories are ours; all others are never touched
    host_locks              the two locks
    files                   writes that survive a crash

In: `manifest.json` and SST files (impressions/formats/manifest.py). Out: a host's data directory,
which `serving` reads (impressions/formats/generation_paths.py names every file of it). Two promises
hold: a load that was refused leaves no trace, and a load that was killed at any moment is as if it
had never begun. Both follow from one order of steps: work in `loading/`, one rename, then the
pointer.
"""
