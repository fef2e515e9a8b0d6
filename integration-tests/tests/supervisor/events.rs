//! Events: order, filters, and those a shim's program publishes.

use std::process::{Child, Command, Stdio};

use integration_tests::{DEADLINE, Ran, Supervisor, TempRoot, programs, wait_for};

use crate::{IMAGE, ctr, supervisor_with_image};

/// A running `ctr events`.
struct Listener {
    child: Child,
    file: std::path::PathBuf,
}

impl Listener {
    fn start(root: &TempRoot, supervisor: &Supervisor, filters: &[&str]) -> Listener {
        let file = root.join(format!("events-{}", integration_tests::random_id(8)));
        let out = std::fs::File::create(&file).expect("the root is writable");
        let mut command = supervisor.ctr().command(&["events"]);
        let child = command.args(filters).stdin(Stdio::null()).stdout(out).spawn().expect("ctr starts");
        let listener = Listener { child, file };
        // Nobody tells when it is subscribed: an event of our own is published until it is seen.
        wait_for("the listener to be subscribed", DEADLINE, || {
            publish(supervisor, root.name(), "/ready").code == 0 && listener.text().contains("/ready")
        });
        listener
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// Topics of everything that tells of `id`.
    fn topics(&self, id: &str) -> Vec<String> {
        let text = self.text();
        let about = text.lines().filter(|line| line.contains(&format!("\"{id}\"")));
        about.filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned)).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn publish(supervisor: &Supervisor, namespace: &str, topic: &str) -> Ran {
    // Any { type_url: "containerd.events.TaskOOM", value: TaskOOM { container_id: "x" } }
    let mut event = vec![0x0a, 25];
    event.extend(b"containerd.events.TaskOOM");
    event.extend([0x12, 3, 0x0a, 1, b'x']);
    let mut command = Command::new(programs::path("corten-supervisor"));
    command.arg("--address").arg(supervisor.address());
    Ran::with_input(command.args(["publish", "--topic", topic, "--namespace", namespace]), &event)
}

#[test]
fn a_containers_life_is_told_in_order() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let listener = Listener::start(&root, &supervisor, &[]);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let _ = ctr(&supervisor, "tasks exec --exec-id e1 one true").ok();
    let _ = ctr(&supervisor, "tasks kill -s KILL one").ok();
    wait_for("its exit", DEADLINE, || {
        listener.topics("one").iter().filter(|topic| *topic == "/tasks/exit").count() == 2
    });
    let _ = ctr(&supervisor, "tasks rm one");
    let _ = ctr(&supervisor, "containers rm one").ok();
    wait_for("its end", DEADLINE, || listener.topics("one").iter().any(|topic| topic == "/containers/delete"));
    let expected = [
        "/snapshot/prepare",
        "/containers/create",
        "/tasks/create",
        "/tasks/start",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/exit",
        "/tasks/exit",
        "/tasks/delete",
        "/snapshot/remove",
        "/containers/delete",
    ];
    assert_eq!(listener.topics("one"), expected, "{}", listener.text());
}

#[test]
fn a_filter_lets_through_what_it_names() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let filter = format!("namespace=={},topic~=\"^/(ready|namespaces)\"", root.name());
    let listener = Listener::start(&root, &supervisor, &[&filter]);
    let _ = ctr(&supervisor, &format!("run --rm {IMAGE} one true")).ok();
    let _ = supervisor.ctr().run(&["namespaces", "label", root.name(), "a=b"]).ok();
    wait_for("the event", DEADLINE, || listener.text().contains("/namespaces/update"));
    assert_eq!(listener.topics("one"), Vec::<String>::new());
}

#[test]
fn what_is_no_topic_is_refused() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    for topic in ["x", "/", "/a//b", "/a b"] {
        let ran = publish(&supervisor, root.name(), topic);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("invalid argument"), "{ran:?}");
    }
}
