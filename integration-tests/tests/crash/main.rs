//! kill -9 of each program in the middle of each operation.
//!
//! One test for each cell of the matrix. A round prepares a container, starts the operation, kills the victim at a
//! random moment of it, sees to it that the daemons run again, and then holds the API against the machine:
//! what was acknowledged is there, what the API says is so, `rm` works, and nothing is left.
//! `CORTEN_CRASH_ROUNDS` rounds a cell (5 when not set). `CORTEN_CRASH_STACK=original` runs the same on the originals.
//!
//! There is no cell for the runtime during stop: the shim signals by pidfd itself.
//!
//! What is done to images and to networks has cells of its own: [`images`], [`networks`].
//!
//! A cell fails when fewer than half of its kills hit an operation in flight: it then proves nothing.

mod cell;
mod full_disk;
mod images;
mod networks;
mod operation;
mod reality;
mod victim;

use operation::Operation;
use victim::Victim;

/// A test of the cell `$victim` × `$operation`.
macro_rules! cells {
    ($($name:ident: $victim:ident $operation:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            cell::run(Victim::$victim, Operation::$operation);
        })+
    };
}

cells! {
    engine_killed_during_create: Engine Create,
    engine_killed_during_start: Engine Start,
    engine_killed_during_exec: Engine Exec,
    engine_killed_during_stop: Engine Stop,
    engine_killed_during_rm: Engine Rm,
    engine_killed_during_commit: Engine Commit,
    engine_killed_during_copy: Engine Copy,
    supervisor_killed_during_create: Supervisor Create,
    supervisor_killed_during_start: Supervisor Start,
    supervisor_killed_during_exec: Supervisor Exec,
    supervisor_killed_during_stop: Supervisor Stop,
    supervisor_killed_during_rm: Supervisor Rm,
    supervisor_killed_during_commit: Supervisor Commit,
    supervisor_killed_during_copy: Supervisor Copy,
    shim_killed_during_start: Shim Start,
    shim_killed_during_exec: Shim Exec,
    shim_killed_during_stop: Shim Stop,
    shim_killed_during_rm: Shim Rm,
    runtime_killed_during_start: Runtime Start,
    runtime_killed_during_exec: Runtime Exec,
    runtime_killed_during_rm: Runtime Rm,
}
