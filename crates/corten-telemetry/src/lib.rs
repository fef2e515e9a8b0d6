//! Log set-up of the programs; libraries use the `tracing` facade.
