//! Cgroups below the container's own, for a process that is to run there (`exec --cgroup`).

use std::path::Path;

use crate::CgroupError;
use crate::place::Cgroup;

impl Cgroup {
    /// The same cgroups, with others below them in their places: for `path` alone all of them, for
    /// `controller[,controller]:path` those of the controllers. They exist already; nothing is made.
    ///
    /// # Errors
    /// [`CgroupError::Below`].
    pub fn below(&self, arguments: &[String]) -> Result<Self, CgroupError> {
        let mut found = self.clone();
        let mut seen: Vec<&str> = Vec::new();
        for argument in arguments {
            let fail = |problem: String| CgroupError::Below { argument: argument.clone(), problem };
            let target =
                |own: &Path, path: &str| inside(own, path).ok_or_else(|| fail(format!("bad sub cgroup path: {path}")));
            let Some((controllers, path)) = argument.split_once(':') else {
                if arguments.len() > 1 {
                    return Err(fail("missing <controller>: prefix".to_owned()));
                }
                for directory in &mut found.directories {
                    directory.path = target(&directory.path, argument)?;
                }
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(fail("empty <controller> prefix".to_owned()));
                }
                if seen.contains(&controller) {
                    return Err(fail(format!("controller {controller} specified multiple times")));
                }
                seen.push(controller);
                let unknown = || fail(format!("unknown controller {controller} in this container"));
                let target = target(self.v1(controller).ok_or_else(unknown)?, path)?;
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
        assert_eq!(below(&["a"]).expect("all"), ["/c/web/a", "/m/web/a", "/u/web/a"]);
        assert_eq!(below(&["cpu:/a/b", "memory:m"]).expect("v1"), ["/c/web/a/b", "/m/web/m", "/u/web"]);
        for (arguments, problem) in [
            (&["../b"][..], "../b: bad sub cgroup path: ../b"),
            (&["a", "b"], "a: missing <controller>: prefix"),
            (&[":a"], ":a: empty <controller> prefix"),
            (&["cpu,cpu:a"], "cpu,cpu:a: controller cpu specified multiple times"),
            (&["pids:a"], "pids:a: unknown controller pids in this container"),
        ] {
            assert_eq!(below(arguments).expect_err("refused"), format!("invalid --cgroup argument {problem}"));
        }
    }
}
