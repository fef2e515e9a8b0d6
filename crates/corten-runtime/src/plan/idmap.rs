//! Mapped owners of a mount.

use corten_sys::mount::Extent;

use super::mount_options::Options;
use super::mounts::is_bind;
use super::{NamespacePlan, invalid};
use crate::spec::{Linux, Mount, SpecError};

/// Where the mapping of an idmapped mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdMap {
    /// A namespace made for it.
    New {
        /// What is written to uid_map.
        uid_map: String,
        /// What is written to gid_map.
        gid_map: String,
        /// Whether mounts below are mapped, too.
        is_recursive: bool,
    },
    /// The user namespace that is joined.
    Joined {
        /// Its path.
        path: String,
        /// Whether mounts below are mapped, too.
        is_recursive: bool,
    },
}

impl IdMap {
    /// Whether mounts below are mapped, too.
    #[must_use]
    pub fn is_recursive(&self) -> bool {
        let (Self::New { is_recursive, .. } | Self::Joined { is_recursive, .. }) = self;
        *is_recursive
    }
}

/// The mount's own mapping, or with the option alone the container's.
pub(super) fn plan(
    key: &str,
    mount: &Mount,
    options: &Options,
    namespaces: &NamespacePlan,
    linux: &Linux,
) -> Result<Option<IdMap>, SpecError> {
    let own = (&mount.uid_mappings, &mount.gid_mappings);
    let has_own = !own.0.is_empty() || !own.1.is_empty();
    if !has_own && options.id_map.is_none() {
        return Ok(None);
    }
    if !is_bind(mount) {
        return Err(invalid(key, "id mappings are for a bind mount only"));
    }
    let is_recursive = options.id_map == Some(Extent::Recursive);
    if has_own {
        let uid_map = super::namespaces::map(&format!("{key}.uidMappings"), own.0)?;
        let gid_map = super::namespaces::map(&format!("{key}.gidMappings"), own.1)?;
        return Ok(Some(IdMap::New { uid_map, gid_map, is_recursive }));
    }
    if let Some((uid_map, gid_map)) = namespaces.id_maps.clone() {
        return Ok(Some(IdMap::New { uid_map, gid_map, is_recursive }));
    }
    let joined = linux.namespaces.iter().find(|namespace| namespace.kind == "user" && !namespace.path.is_empty());
    let joined = joined.ok_or_else(|| invalid(key, "an idmap needs mappings of its own or a user namespace"))?;
    Ok(Some(IdMap::Joined { path: joined.path.clone(), is_recursive }))
}
