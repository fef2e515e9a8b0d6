//! `--security-opt`: what the words mean (docker's parseSecurityOpt).

use corten_docker_api::containers::HostConfig;

use crate::errors::{EngineError, Result};

/// What a container's security options say, each later one over the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityOptions {
    /// Whether its processes can gain no privileges.
    pub no_new_privileges: bool,
    /// Whether paths of /proc and /sys are as the kernel shows them.
    pub has_open_system_paths: bool,
    /// `unconfined`, `builtin` or a profile as JSON.
    pub seccomp: Option<String>,
    /// The profile that is entered.
    pub apparmor: Option<String>,
    /// Whether its cgroup can be written; by default only when it is privileged.
    pub writable_cgroups: Option<bool>,
}

/// The filter of system calls of containers that ask for none themselves (`--seccomp-profile` of the daemon).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DefaultFilter {
    /// docker's.
    #[default]
    Builtin,
    /// None.
    Unconfined,
    /// A profile of the administrator's.
    Profile {
        /// Its file.
        path: String,
        /// What stood in it when the daemon started.
        json: String,
    },
}

impl DefaultFilter {
    /// Reads what the daemon was asked for: `builtin`, `unconfined` or a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(asked_for: &str) -> Result<Self> {
        match asked_for {
            "" | "builtin" => Ok(Self::Builtin),
            UNCONFINED => Ok(Self::Unconfined),
            path => match std::fs::read_to_string(path) {
                Ok(json) => Ok(Self::Profile { path: path.to_owned(), json }),
                Err(error) => {
                    Err(EngineError::invalid(format!("opening seccomp profile ({path}) failed")).caused_by(error))
                }
            },
        }
    }

    /// As `info` has it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin => "builtin",
            Self::Unconfined => UNCONFINED,
            Self::Profile { path, .. } => path,
        }
    }
}

/// The word for "no profile".
pub const UNCONFINED: &str = "unconfined";

impl SecurityOptions {
    /// Reads the options of a container.
    ///
    /// # Errors
    /// 400 in docker's words for what is no option.
    pub fn read(host: &HostConfig) -> Result<Self> {
        let mut options = Self::default();
        for text in host.security_opt.iter().flatten() {
            options.add(text)?;
        }
        Ok(options)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        match text {
            "no-new-privileges" => self.no_new_privileges = true,
            "writable-cgroups" => self.writable_cgroups = Some(true),
            // Of labels: without SELinux there are none, which docker does not say either.
            "disable" => {}
            _ => return self.add_pair(text),
        }
        Ok(())
    }

    fn add_pair(&mut self, text: &str) -> Result<()> {
        let invalid = |number: u8| EngineError::invalid(format!("invalid --security-opt {number}: \"{text}\""));
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let (key, value) = pair.ok_or_else(|| invalid(1))?;
        match key {
            "label" => {}
            "seccomp" => self.seccomp = Some(value.to_owned()).filter(|value| !value.is_empty()),
            "apparmor" => self.apparmor = Some(value.to_owned()).filter(|value| !value.is_empty()),
            "no-new-privileges" => self.no_new_privileges = switch(value).ok_or_else(|| invalid(2))?,
            "writable-cgroups" => self.writable_cgroups = Some(switch(value).ok_or_else(|| invalid(2))?),
            // The client makes empty lists of paths of it; taken here too, for those who pass it on.
            "systempaths" if value == UNCONFINED => self.has_open_system_paths = true,
            _ => return Err(invalid(2)),
        }
        Ok(())
    }
}

/// What Go reads as true and false.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<SecurityOptions> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        SecurityOptions::read(&HostConfig { security_opt: Some(words), ..HostConfig::default() })
    }

    #[test]
    fn options_are_read_in_both_spellings_and_the_last_counts() {
        let found = read(&["no-new-privileges", "label=user:x", "label:disable", "seccomp:unconfined"]).unwrap();
        assert!(found.no_new_privileges);
        assert_eq!(found.seccomp.as_deref(), Some("unconfined"));
        assert!(!read(&["no-new-privileges", "no-new-privileges:false"]).unwrap().no_new_privileges);
        assert_eq!(read(&["writable-cgroups=0"]).unwrap().writable_cgroups, Some(false));
        assert_eq!(read(&["apparmor=mine"]).unwrap().apparmor.as_deref(), Some("mine"));
        // A profile is JSON, and JSON has both signs.
        let json = read(&["seccomp={\"a\":\"b=c\"}"]).unwrap();
        assert_eq!(json.seccomp.as_deref(), Some("{\"a\":\"b=c\"}"));
    }

    #[test]
    fn what_is_no_option_is_refused_in_dockers_words() {
        for (word, text) in [
            ("label", "invalid --security-opt 1: \"label\""),
            ("unknown=x", "invalid --security-opt 2: \"unknown=x\""),
            ("no-new-privileges=maybe", "invalid --security-opt 2: \"no-new-privileges=maybe\""),
            ("writable-cgroups=dang", "invalid --security-opt 2: \"writable-cgroups=dang\""),
        ] {
            assert_eq!(read(&[word]).unwrap_err().to_string(), text);
        }
    }
}
