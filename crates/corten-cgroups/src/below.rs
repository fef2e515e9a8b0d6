//! Cgroups below the container's own, for a process that is to run there (`exec --cgroup`).

use std::path::Path;

use crate::CgroupError;
use crate::place::Cgroup;

impl Cgroup {
    /// The same cgroups, with those of some controllers replaced by ones below them: `path` alone on v2, else
    /// `controller[,controller]:path`. They exist already; nothing is made.
    ///
    /// # Errors
    /// [`CgroupError::Below`].
    pub fn below(&self, arguments: &[String]) -> Result<Self, CgroupError> {
        let mut found = self.clone();
        let mut seen: Vec<&str> = Vec::new();
        for argument in arguments {
            let fail = |problem| CgroupError::Below { argument: argument.clone(), problem };
            let Some((controllers, path)) = argument.split_once(':') else {
                if arguments.len() > 1 {
                    return Err(fail("missing <controller>: prefix"));
                }
                let directory = found.directories.iter_mut().find(|directory| directory.is_unified());
                let directory = directory.ok_or_else(|| fail("the machine has no cgroup v2"))?;
                directory.path = inside(&directory.path, argument).ok_or_else(|| fail("not a sub cgroup path"))?;
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(fail("empty <controller> prefix"));
                }
                if seen.contains(&controller) {
                    return Err(fail("controller specified multiple times"));
                }
                seen.push(controller);
                let own = self.v1(controller).ok_or_else(|| fail("unknown controller"))?;
                let target = inside(own, path).ok_or_else(|| fail("not a sub cgroup path"))?;
                // Controllers mounted together move together.
                let directory =
                    found.directories.iter_mut().find(|known| known.controllers.iter().any(|c| c == controller));
                if let Some(directory) = directory {
                    directory.path = target;
                }
            }
        }
        Ok(found)
    }
}

/// `path` below `directory`; `None` when it leads out.
fn inside(directory: &Path, path: &str) -> Option<std::path::PathBuf> {
    let parts = || path.split('/').filter(|part| !part.is_empty() && *part != ".");
    (!parts().any(|part| part == "..")).then(|| parts().fold(directory.to_owned(), |path, part| path.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Directory;

    fn hybrid() -> Cgroup {
        let directory = |controllers: &[&str], path: &str| Directory {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            path: path.into(),
        };
        Cgroup {
            directories: vec![
                directory(&["cpu", "cpuacct"], "/c/web"),
                directory(&["memory"], "/m/web"),
                directory(&[], "/u/web"),
            ],
        }
    }

    fn below(arguments: &[&str]) -> Result<Vec<String>, String> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let found = hybrid().below(&arguments).map_err(|error| error.to_string())?;
        Ok(found.directories().iter().map(|directory| directory.path.display().to_string()).collect())
    }

    #[test]
    fn the_named_controllers_only_go_below() {
        assert_eq!(below(&["a"]).expect("v2"), ["/c/web", "/m/web", "/u/web/a"]);
        assert_eq!(below(&["cpu:/a/b", "memory:m"]).expect("v1"), ["/c/web/a/b", "/m/web/m", "/u/web"]);
        for (arguments, problem) in [
            (&["../b"][..], "invalid --cgroup argument: ../b (not a sub cgroup path)"),
            (&["a", "b"], "invalid --cgroup argument: a (missing <controller>: prefix)"),
            (&[":a"], "invalid --cgroup argument: :a (empty <controller> prefix)"),
            (&["cpu,cpu:a"], "invalid --cgroup argument: cpu,cpu:a (controller specified multiple times)"),
            (&["pids:a"], "invalid --cgroup argument: pids:a (unknown controller)"),
        ] {
            assert_eq!(below(arguments).expect_err("refused"), problem);
        }
    }
}
