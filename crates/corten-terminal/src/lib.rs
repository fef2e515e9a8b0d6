//! Raw mode, resize, detach keys, Go-style tables, progress bars.
