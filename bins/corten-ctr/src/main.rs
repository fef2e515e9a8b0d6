//! The debug client of the supervisor (ctr).

fn main() {}
