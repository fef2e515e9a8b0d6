//! The crate in a program with threads: containers are made, entered and removed, and the threads stay as they were.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use corten_runtime::{apart::apart, caller::Caller, create, delete, exec, log::Log, start};
use corten_runtime_api::arguments::{Create, Delete, Exec};

#[test]
fn verbs_run_on_threads_and_leave_them_as_they_were() {
    let directory = tempfile::Builder::new().prefix("corten-").tempdir().expect("a temporary directory");
    let bundle = directory.path().join("bundle");
    make_bundle(&bundle);
    let state = directory.path().join("state");
    let names =
        ["one", "two"].map(|name| format!("{}-{name}", directory.path().file_name().expect("it has one").display()));
    thread::scope(|scope| {
        for id in &names {
            let (bundle, state) = (&bundle, &state);
            scope.spawn(move || live_and_die(id, bundle, state));
        }
    });
    assert_eq!(fs::read_dir(&state).expect("it was made").count(), 0);
}

fn live_and_die(id: &str, bundle: &Path, state: &Path) {
    let caller = Caller::default();
    let arguments = Create { id: id.to_owned(), bundle: Some(bundle.to_owned()), ..Create::default() };
    create::create(state, &arguments, &caller).expect("creates");
    start::start(state, id, &caller).expect("starts");
    let children_before = pid_namespace_of_children();
    let script = format!("readlink /proc/self/ns/pid > /{id}; exit 7");
    let arguments = Exec {
        id: id.to_owned(),
        args: ["/bin/busybox", "sh", "-c", &script].map(Into::into).to_vec(),
        ..Exec::default()
    };
    let status = apart(|| exec::exec(state, &arguments, &Log::default())).expect("runs");
    assert_eq!(status, 7);
    assert_eq!(pid_namespace_of_children(), children_before);
    let inside = fs::read_to_string(bundle.join("rootfs").join(id)).expect("the process wrote it");
    assert_ne!(inside.trim(), fs::read_link("/proc/self/ns/pid").expect("proc(5)").to_string_lossy());
    delete::delete(state, &Delete { id: id.to_owned(), force: true }, &caller.log).expect("deletes");
}

/// Where this thread's next child would be.
fn pid_namespace_of_children() -> u64 {
    fs::metadata("/proc/thread-self/ns/pid_for_children").expect("proc(5)").ino()
}

fn make_bundle(bundle: &Path) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::create_dir_all(bundle.join("rootfs/bin")).expect("the directory is writable");
    fs::copy(busybox.expect("busybox is installed"), bundle.join("rootfs/bin/busybox")).expect("copies");
    let spec = r#"{"ociVersion": "1.3.0", "root": {"path": "rootfs"},
        "process": {"args": ["/bin/busybox", "sleep", "1000"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}]}}"#;
    fs::write(bundle.join("config.json"), spec).expect("the directory is writable");
}
