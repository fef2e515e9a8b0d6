//! Images, as containerd keeps them.

/// Images looked at before.
#[derive(Default)]
pub struct Cache(());
