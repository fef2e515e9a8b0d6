//! `diff`, `commit` and `export` through each client and through docker's Python library.

use std::fs;
use std::process::Command;

use integration_tests::{DEADLINE, DockerCli, Kind, Ran, Stack, wait_for};

const CHANGE: &str = "echo new >/etc/new; echo more >>/etc/passwd; rm /etc/group; mkdir /dir; echo x >/dir/file; chmod 711 /root; touch /bound/x";

#[test]
fn changes_become_an_image_on_the_original() {
    prove(Kind::Original);
}

#[test]
fn changes_become_an_image_on_cortend() {
    prove(Kind::Ours);
}

#[test]
fn changes_become_an_image_on_cortend_on_debians_containerd() {
    prove(Kind::OursOnContainerd);
}

fn prove(kind: Kind) {
    let stack = Stack::start(kind);
    stack.load_busybox();
    let clients = match kind {
        Kind::Ours => [DockerCli::originals(&stack.socket()), vec![stack.corten()]].concat(),
        _ => vec![stack.docker()],
    };
    let bound = stack.root().make("bound");
    let bind = format!("{}:/bound", bound.display());
    for docker in &clients {
        let script = format!("{CHANGE}; touch /dev/shm/seen; sleep 1000");
        let run = ["run", "-d", "--name", "web", "--network", "none", "-v", &bind, "-e", "A=1", "busybox", "sh", "-c"];
        let _ = docker.run(&[&run[..], &[script.as_str()]].concat()).ok();
        wait_for("the container to have changed its files", DEADLINE, || {
            docker.run(&["exec", "web", "test", "-e", "/dev/shm/seen"]).code == 0
        });
        tells_changes(docker);
        makes_an_image(&stack, docker, kind);
        exports(&stack, docker);
        let _ = docker.run(&["rm", "-f", "web"]).ok();
        refuses(docker);
    }
    if kind == Kind::Ours {
        docker_py(&stack);
    }
}

fn tells_changes(docker: &DockerCli) {
    let expected =
        ["A /bound", "A /dir", "A /dir/file", "A /etc/new", "C /etc", "C /etc/passwd", "C /root", "D /etc/group"];
    let told = docker.run(&["diff", "web"]).ok();
    let mut lines: Vec<&str> = told.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected, "{}", docker.label);
}

fn makes_an_image(stack: &Stack, docker: &DockerCli, kind: Kind) {
    let commit =
        ["commit", "-a", "Ada", "-m", "by hand", "-c", "ENV B=2", "-c", "ENTRYPOINT [\"cat\"]", "web", "made:1"];
    let id = docker.run(&commit).ok();
    assert!(id.out().starts_with("sha256:") && id.out().len() == 71, "{id:?}");
    let inspect = |format: &str| docker.run(&["inspect", "--type", "image", "--format", format, "made:1"]).ok();
    assert_eq!(inspect("{{.Id}}").out(), id.out());
    assert_eq!(
        inspect("{{.Author}}|{{.Comment}}|{{.Config.Cmd}}|{{.Config.Entrypoint}}").out(),
        "Ada|by hand|[]|[cat]"
    );
    let env = inspect("{{.Config.Env}}");
    assert!(env.out().starts_with("[A=1 PATH=") && env.out().ends_with(" B=2]"), "{env:?}");
    assert_eq!(inspect("{{len .RootFS.Layers}}").out(), "2");
    let run = |name: &str, arguments: &[&str]| -> Ran {
        docker.run(&[&["run", "--rm", "--network", "none", name], arguments].concat())
    };
    assert_eq!(run("made:1", &["/etc/new", "/dir/file"]).ok().out(), "new\nx");
    assert_eq!(run("made:1", &["/etc/group"]).code, 1);
    let history = docker.run(&["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1"]).ok();
    let first = history.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("sh -c echo new >/etc/new;") && first.ends_with("|by hand"), "{first}");
    // The container runs on, and nothing of the mounts is in the layer.
    let state = docker.run(&["inspect", "--format", "{{.State.Status}}", "web"]).ok();
    assert_eq!(state.out(), "running");
    let _ = docker.run(&["create", "--name", "again", "--network", "none", "made:1"]).ok();
    assert_eq!(docker.run(&["diff", "again"]).ok().out(), "", "{}", docker.label);
    // Without a name, and without a change: docker makes an image all the same.
    let dangling = docker.run(&["commit", "again"]).ok();
    let listed = docker.run(&["images", "-q", "--no-trunc", "--filter", "dangling=true"]).ok();
    assert_eq!(listed.out(), dangling.out());
    let layers = docker.run(&["inspect", "--format", "{{len .RootFS.Layers}}", dangling.out()]).ok();
    assert_eq!(layers.out(), "2");
    let _ = docker.run(&["rm", "again"]).ok();
    let _ = docker.run(&["rmi", dangling.out()]).ok();
    let _ = docker.run(&["rmi", "made:1"]).ok();
    if kind == Kind::Ours {
        assert_eq!(stack.ctr().run(&["snapshots", "ls"]).ok().stdout.lines().count(), 3, "a snapshot is left");
    }
}

fn exports(stack: &Stack, docker: &DockerCli) {
    let path = stack.root().join("export.tar");
    let _ = docker.run(&["export", "-o", &path.display().to_string(), "web"]).ok();
    let listed = Command::new("tar").arg("-tf").arg(&path).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let has = |name: &str| listed.lines().any(|line| line == name);
    assert!(has("etc/new") && has("dir/file") && has("bin/busybox") && has("bound/"), "{}: {listed}", docker.label);
    assert!(!has("bound/x") && !has("dev/shm/seen") && !listed.contains("proc/1"), "{listed}");
    let streamed = docker.command(&["export", "web"]).output().unwrap().stdout;
    assert_eq!(streamed.len() as u64, fs::metadata(&path).unwrap().len());
    let _ = docker.run(&["import", &path.display().to_string(), "exported:1"]).ok();
    let ran = docker.run(&["run", "--rm", "--network", "none", "exported:1", "cat", "/etc/new"]).ok();
    assert_eq!(ran.out(), "new");
    let _ = docker.run(&["rmi", "exported:1"]).ok();
    fs::remove_file(&path).unwrap();
}

fn refuses(docker: &DockerCli) {
    for command in [&["diff", "none"][..], &["commit", "none"], &["export", "none"]] {
        let ran = docker.run(command);
        assert!(ran.code == 1 && ran.err().contains("No such container: none"), "{ran:?}");
    }
    let _ = docker.run(&["create", "--name", "plain", "--network", "none", "busybox"]).ok();
    assert_eq!(docker.run(&["diff", "plain"]).ok().out(), "");
    let wrong = docker.run(&["commit", "-c", "RUN true", "plain"]);
    assert!(wrong.code != 0 && wrong.err().to_lowercase().contains("run is not a valid change command"), "{wrong:?}");
    let wrong = docker.run(&["commit", "plain", "UPPER"]);
    assert!(wrong.code != 0 && wrong.err().contains("invalid reference format"), "{wrong:?}");
    let _ = docker.run(&["rm", "plain"]).ok();
}

fn docker_py(stack: &Stack) {
    let script = r#"
import docker, io, tarfile, sys
client = docker.DockerClient(base_url='unix://' + sys.argv[1])
c = client.containers.create('busybox', ['true'], network_mode='none')
data = io.BytesIO()
with tarfile.open(fileobj=data, mode='w') as tar:
    info = tarfile.TarInfo('greeting'); info.size = 5; info.uid = 7
    tar.addfile(info, io.BytesIO(b'hello'))
assert c.put_archive('/etc', data.getvalue())
assert c.diff() == [{'Path': '/etc', 'Kind': 0}, {'Path': '/etc/greeting', 'Kind': 1}], c.diff()
bits, stat = c.get_archive('/etc/greeting')
assert (stat['name'], stat['size'], stat['mode']) == ('greeting', 5, 0o644), stat
with tarfile.open(fileobj=io.BytesIO(b''.join(bits))) as tar:
    assert tar.extractfile('greeting').read() == b'hello' and tar.getmember('greeting').uid == 7
image = c.commit('py', 'one', message='m', author='a', conf={'Cmd': ['cat', '/etc/greeting'], 'Labels': {'l': 'v'}}, changes='ENV X=y')
assert image.tags == ['py:one'] and image.labels == {'l': 'v'}, (image.tags, image.labels)
assert client.containers.run('py:one', network_mode='none', remove=True) == b'hello'
with tarfile.open(fileobj=io.BytesIO(b''.join(c.export()))) as tar:
    assert 'etc/greeting' in tar.getnames()
try:
    c.get_archive('/none')
    raise SystemExit('no error')
except docker.errors.NotFound as error:
    assert 'Could not find the file /none in container' in str(error), error
c.remove(); client.images.remove('py:one')
"#;
    let _ = Ran::of(Command::new("python3").arg("-c").arg(script).arg(stack.socket())).ok();
}
