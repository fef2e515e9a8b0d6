//! `cp` through each client, to and from containers that run and that do not: docker's table of where things go.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::{Answer, DockerCli, Kind, Leaks, Stack};
use serde_json::{Value, json};

#[test]
fn files_are_copied_to_and_from_the_original() {
    prove(Kind::Original);
}

#[test]
fn files_are_copied_to_and_from_cortend() {
    prove(Kind::Ours);
}

#[test]
fn files_are_copied_to_and_from_cortend_on_debians_containerd() {
    prove(Kind::OursOnContainerd);
}

fn prove(kind: Kind) {
    let stack = Stack::start(kind);
    stack.load_busybox();
    // Each client on ours alone; elsewhere one is enough to judge the daemon, or the scenario.
    let clients = match kind {
        Kind::Ours => [DockerCli::originals(&stack.socket()), vec![stack.corten()]].concat(),
        _ => vec![stack.docker()],
    };
    let before = Leaks::of(stack.root());
    for (number, docker) in clients.iter().enumerate() {
        for runs in [false, true] {
            let name = format!("c{number}{runs}");
            let scene = Scene::set(&stack, docker, &name, runs);
            scene.files_go_where_docker_puts_them();
            scene.directories_go_where_docker_puts_them();
            scene.links_are_kept_or_followed();
            scene.archives_come_and_go_by_standard_streams();
            let _ = docker.run(&["rm", "-f", &name]).ok();
        }
    }
    let left = Leaks::of(stack.root()).since(&before).counts();
    assert_eq!((left.mounts, left.processes), (0, 0), "{left:?}");
    refuses(&stack, kind);
}

/// A container with a directory of the host's at /bound, and a directory here.
struct Scene<'a> {
    docker: &'a DockerCli,
    name: &'a str,
    here: PathBuf,
    bound: PathBuf,
}

impl<'a> Scene<'a> {
    fn set(stack: &Stack, docker: &'a DockerCli, name: &'a str, runs: bool) -> Self {
        let here = stack.root().join(format!("here-{name}"));
        let bound = stack.root().join(format!("bound-{name}"));
        for directory in [&here, &bound] {
            fs::create_dir_all(directory).unwrap();
        }
        let bind = format!("{}:/bound", bound.display());
        let verb: &[&str] = if runs { &["run", "-d"] } else { &["create"] };
        let rest = ["--name", name, "--network", "none", "-v", &bind, "busybox", "sleep", "1000"];
        let _ = docker.run(&[verb, &rest[..]].concat()).ok();
        Scene { docker, name, here, bound }
    }

    fn path(&self, name: &str) -> String {
        self.here.join(name).display().to_string()
    }

    fn inside(&self, path: &str) -> String {
        format!("{}:{path}", self.name)
    }

    #[track_caller]
    fn cp(&self, from: &str, to: &str) {
        let _ = self.docker.run(&["cp", from, to]).ok();
    }

    #[track_caller]
    fn refused(&self, from: &str, to: &str, text: &str) {
        let ran = self.docker.run(&["cp", from, to]);
        // Docker 20.10 has words of its own for each 404.
        let is_told = ran.err().contains(text) || ran.err().contains("No such container:path: ");
        assert!(ran.code == 1 && is_told, "{} {from} {to}: {ran:?}", self.docker.label);
    }

    /// What is at a path of the container, brought here.
    #[track_caller]
    fn fetched(&self, path: &str) -> PathBuf {
        let fetched = self.here.join("fetched");
        let _ = fs::remove_dir_all(&fetched);
        fs::create_dir(&fetched).unwrap();
        self.cp(&self.inside(path), &fetched.display().to_string());
        let mut names = fs::read_dir(&fetched).unwrap();
        names.next().expect("something was copied").unwrap().path()
    }

    fn files_go_where_docker_puts_them(&self) {
        let file = self.here.join("file");
        fs::write(&file, "one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o751)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        let file = self.path("file");
        self.cp(&file, &self.inside("/new"));
        self.cp(&file, &self.inside("/tmp/"));
        self.cp(&file, &self.inside("/tmp/other"));
        for path in ["/new", "/tmp/file", "/tmp/other"] {
            let copied = self.fetched(path);
            let stat = fs::metadata(&copied).unwrap();
            assert_eq!(fs::read_to_string(&copied).unwrap(), "one");
            assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o751, 1_600_000_000), "{path}");
        }
        self.refused(&file, &self.inside("/missing/"), "no such directory");
        self.refused(&file, &self.inside("/missing/new"), "Could not find the file /missing in container");
        self.cp(&file, &self.inside("/bound/from-here"));
        assert_eq!(fs::read_to_string(self.bound.join("from-here")).unwrap(), "one");
        self.cp(&self.inside("/bound/from-here"), &self.path("back"));
        self.cp(&self.inside("/new"), &self.path("back"));
        assert_eq!(fs::read_to_string(self.path("back")).unwrap(), "one");
        self.refused(&self.inside("/new"), &self.path("missing/"), "");
        self.refused(&self.inside("/nope"), &self.path("x"), "Could not find the file /nope in container");
    }

    fn directories_go_where_docker_puts_them(&self) {
        let tree = self.here.join("tree");
        fs::create_dir_all(tree.join("deep")).unwrap();
        fs::write(tree.join("deep/leaf"), "leaf").unwrap();
        fs::write(tree.join("top"), "top").unwrap();
        fs::hard_link(tree.join("top"), tree.join("top-again")).unwrap();
        let tree = self.path("tree");
        self.cp(&tree, &self.inside("/as-new"));
        self.cp(&tree, &self.inside("/tmp"));
        self.cp(&format!("{tree}/."), &self.inside("/tmp/tree/deep"));
        self.refused(&tree, &self.inside("/new"), "cannot copy directory");
        for path in ["/as-new/deep/leaf", "/tmp/tree/deep/leaf", "/tmp/tree/deep/deep/leaf"] {
            assert_eq!(fs::read_to_string(self.fetched(path)).unwrap(), "leaf", "{path}");
        }
        let whole = self.fetched("/as-new");
        let inode = |name: &str| fs::metadata(whole.join(name)).unwrap().ino();
        assert_eq!(inode("top"), inode("top-again"));
        self.cp(&self.inside("/as-new/."), &self.path("contents"));
        assert!(Path::new(&self.path("contents/deep/leaf")).is_file());
        self.refused(&self.inside("/as-new"), &self.path("file"), "cannot copy directory");
        // A file in the place of a directory, and the other way round.
        fs::create_dir_all(self.here.join("clash/top")).unwrap();
        self.refused(&self.path("clash/top"), &self.inside("/as-new"), "cannot overwrite non-directory");
        self.cp(&self.inside("/bound"), &self.path("bound-copy"));
        assert!(Path::new(&self.path("bound-copy/from-here")).is_file());
    }

    fn links_are_kept_or_followed(&self) {
        symlink("file", self.here.join("link")).unwrap();
        symlink("/new", self.here.join("absolute")).unwrap();
        symlink("/tmp", self.here.join("to-directory")).unwrap();
        for name in ["link", "absolute", "to-directory"] {
            self.cp(&self.path(name), &self.inside(&format!("/{name}")));
        }
        let fetched = self.fetched("/link");
        assert_eq!(fs::read_link(fetched).unwrap(), Path::new("file"));
        // Copying onto a link writes what it leads to, in the container.
        self.cp(&self.path("back"), &self.inside("/absolute"));
        self.cp(&self.path("back"), &self.inside("/to-directory/through"));
        assert_eq!(fs::read_to_string(self.fetched("/tmp/through")).unwrap(), "one");
        let _ = self.docker.run(&["cp", "-L", &self.inside("/absolute"), &self.path("followed")]).ok();
        assert!(fs::symlink_metadata(self.path("followed")).unwrap().is_file());
        let _ = self.docker.run(&["cp", "-L", &self.path("link"), &self.inside("/followed")]).ok();
        assert!(fs::symlink_metadata(self.fetched("/followed")).unwrap().is_file());
        let _ = self.docker.run(&["cp", "--follow-link", &self.inside("/absolute"), &self.path("fetched")]).ok();
        assert!(fs::symlink_metadata(self.path("fetched/absolute")).unwrap().is_file());
    }

    fn archives_come_and_go_by_standard_streams(&self) {
        let mut tar = Command::new("tar");
        let archive = tar.args(["-C", &self.here.display().to_string(), "-cf", "-", "tree"]).output().unwrap().stdout;
        let _ = self.docker.run_with_input(&["cp", "-", &self.inside("/bound")], &archive).ok();
        assert_eq!(fs::read_to_string(self.bound.join("tree/deep/leaf")).unwrap(), "leaf");
        let refused = self.docker.run_with_input(&["cp", "-", &self.inside("/new")], &archive);
        assert!(refused.code == 1 && refused.err().contains("must be a directory"), "{refused:?}");
        let out = self.docker.command(&["cp", &self.inside("/as-new"), "-"]).output().unwrap().stdout;
        let path = self.here.join("out.tar");
        fs::write(&path, out).unwrap();
        let listed = Command::new("tar").arg("-tf").arg(&path).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        let mut names: Vec<&str> = listed.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["as-new/", "as-new/deep/", "as-new/deep/leaf", "as-new/top", "as-new/top-again"]);
    }
}

/// What is refused, in docker's words; where dockerd 20.10 and 28 answer another status, ours is 28's.
fn refuses(stack: &Stack, kind: Kind) {
    let api = stack.api();
    let create = |name: &str, host: Value| {
        let body = json!({ "Image": "busybox", "Cmd": ["true"], "HostConfig": host });
        assert_eq!(api.post(&format!("/containers/create?name={name}"), &body).unwrap().status, 201);
    };
    let bind = format!("{}:/bound:ro", stack.root().path().display());
    create("plain", json!({ "NetworkMode": "none", "Binds": [bind] }));
    create("readonly", json!({ "NetworkMode": "none", "ReadonlyRootfs": true }));
    let call = |method: &str, path: &str, body: &[u8]| -> Answer {
        api.send(method, path, "application/x-tar", body).unwrap()
    };
    let told = |answer: &Answer| answer.json()["message"].as_str().unwrap_or_default().to_owned();
    for (method, path, status, text) in [
        ("GET", "/containers/none/archive?path=/", 404, "No such container: none"),
        ("PUT", "/containers/none/archive?path=/", 404, "No such container: none"),
        ("GET", "/containers/plain/archive?path=", 400, "cannot be empty"),
        ("GET", "/containers/plain/archive?path=/no", 404, "Could not find the file /no in container plain"),
        ("PUT", "/containers/plain/archive?path=/no", 404, "Could not find the file /no in container plain"),
        ("PUT", "/containers/plain/archive?path=/etc/passwd", 400, "extraction point is not a directory"),
        ("PUT", "/containers/plain/archive?path=/bound", 400, "mounted volume is marked read-only"),
        ("PUT", "/containers/readonly/archive?path=/", 400, "container rootfs is marked read-only"),
    ] {
        let answer = call(method, path, b"");
        assert!(told(&answer).ends_with(text), "{method} {path}: {}", told(&answer));
        // 28 answers 400 where 20.10 answered 500.
        assert!(answer.status == status || (kind == Kind::Original && status == 400), "{path}: {}", answer.status);
    }
    for (path, status) in [("/no", 404), ("/etc/", 200), ("/etc/passwd/", 500)] {
        let answer = call("HEAD", &format!("/containers/plain/archive?path={path}"), b"");
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{}", answer.headers);
        // `{"name":"etc"` in base 64.
        let has_stat = answer.headers.contains("X-Docker-Container-Path-Stat: eyJuYW1lIjoiZXRjIi");
        assert_eq!(has_stat, status == 200, "{}", answer.headers);
    }
    for (path, names) in [
        ("/", ["/", "/bin/"]),
        ("/.", ["./", "./bin/"]),
        ("/etc/", ["etc/", "etc/group"]),
        ("/etc/.", ["./", "./group"]),
        ("etc", ["etc/", "etc/group"]),
        ("/etc/../etc/passwd", ["passwd", "passwd"]),
    ] {
        let answer = call("GET", &format!("/containers/plain/archive?path={path}"), b"");
        let file = stack.root().join("listing.tar");
        fs::write(&file, &answer.body).unwrap();
        let listed = Command::new("tar").arg("-tPf").arg(&file).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        let listed: Vec<&str> = listed.lines().collect();
        assert!(names.iter().all(|name| listed.contains(name)), "{path}: {} {listed:?}", answer.status);
    }
}
