//! What containerd's transfers say of themselves: asked once for each connection.

use std::collections::BTreeSet;

use corten_containerd_api::{ApiError, Client};
use corten_proto::containerd::services::introspection::v1::PluginsRequest;

/// What a transfer of our supervisor's can do beyond containerd's. One that was there before this engine may lack some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// It is our supervisor, which understands our settings and tells how a registry refused.
    Ours,
    /// It takes archives through a pipe.
    Pipes,
    /// It makes an image of a root file system.
    Imports,
    /// It writes archives to a pipe.
    Saves,
}

impl Ability {
    /// How it says so, with this version.
    const fn export(self) -> (&'static str, &'static str) {
        match self {
            Self::Ours => ("corten", "1"),
            Self::Pipes => ("corten-pipe", "1"),
            Self::Imports => ("corten-import", "1"),
            Self::Saves => ("corten-save", "1"),
        }
    }
}

/// The answer of one containerd; none of any other than ours.
#[derive(Debug, Clone, Default)]
pub struct Abilities(BTreeSet<(String, String)>);

impl Abilities {
    /// Asks containerd.
    ///
    /// # Errors
    /// What containerd answers.
    pub async fn ask(client: &Client) -> Result<Self, ApiError> {
        let filters = vec!["type==io.containerd.transfer.v1,id==local".to_owned()];
        let plugins = client.introspection().plugins(PluginsRequest { filters }).await?.into_inner().plugins;
        Ok(Self(plugins.into_iter().flat_map(|plugin| plugin.exports).collect()))
    }

    /// Whether it has `ability`.
    pub fn has(&self, ability: Ability) -> bool {
        let (name, version) = ability.export();
        self.0.contains(&(name.to_owned(), version.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ability_of_another_version_is_none() {
        let said = [("corten", "1"), ("corten-pipe", "2")];
        let abilities = Abilities(said.map(|(name, version)| (name.to_owned(), version.to_owned())).into());
        assert!(abilities.has(Ability::Ours));
        assert!(!abilities.has(Ability::Pipes));
        assert!(!Abilities::default().has(Ability::Ours));
    }
}
