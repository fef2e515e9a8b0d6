//! Words two or more processes agree on: ids, digests, references, status, signals, exit codes, error kinds.
