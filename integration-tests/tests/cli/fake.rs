//! A daemon that answers what a test tells it to, and notes what it was asked.
//!
//! What docker 28 does with it is recorded in `recorded.json`, so that machines without that docker compare
//! too; machines with it check the record as well. `CORTEN_RECORD=1` writes it anew.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use integration_tests::{DockerCli, Ran, TempRoot, Terminal};

/// The API's version both command lines speak.
const API_VERSION: &str = "1.50";

/// Where a terminal test's command ends: everything before it was printed by the command.
const END: &str = "<end>";

/// What docker does, by the name of what was done.
const RECORDED: &str = include_str!("recorded.json");

/// Where [`RECORDED`] stands.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/recorded.json");

/// One test at a time adds to the record.
static RECORDING: Mutex<()> = Mutex::new(());

/// What the daemon was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// `POST /images/create?fromImage=…`, without the version.
    pub line: String,
    /// The header `X-Registry-Auth`, as it came.
    pub auth: String,
    /// The body.
    pub body: String,
}

/// What it answers: status and body.
pub type Answer = (u16, String);

/// The daemon, and both command lines on it with a configuration of the test's.
pub struct Fake {
    root: TempRoot,
    /// docker 28, where it is installed.
    docker: Option<DockerCli>,
    pub corten: DockerCli,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// Starts it.
    pub fn start() -> Fake {
        let root = TempRoot::new();
        let socket = root.join("docker.sock");
        let docker = Some(DockerCli::newest(&socket)).filter(|docker| docker.label.contains("newest"));
        let listener = UnixListener::bind(&socket).expect("the root is writable");
        let (answers, asked) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(Vec::new())));
        let (shared_answers, shared_asked) = (Arc::clone(&answers), Arc::clone(&asked));
        // The listener ends with the process: nobody can connect once the root is gone.
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (answers, asked) = (Arc::clone(&shared_answers), Arc::clone(&shared_asked));
                thread::spawn(move || serve(&connection, &answers, &asked));
            }
        });
        Fake { corten: DockerCli::ours(&socket), docker, root, answers, asked }
    }

    /// Does the same with docker and with corten; what both tell of it must be equal, and as recorded under `name`.
    #[track_caller]
    pub fn same<T: Debug>(&self, name: &str, does: impl Fn(&DockerCli) -> T) {
        let told = |cli| {
            let told = format!("{:?}", does(cli)).replace(&self.root.path().display().to_string(), "<root>");
            // A program's own name stands in some texts.
            told.replace("corten", "docker")
        };
        let recorded: BTreeMap<String, String> = serde_json::from_str(RECORDED).expect("the record is JSON");
        let recorded = recorded.get(name).cloned().unwrap_or_default();
        let ours = told(&self.corten);
        if let Some(docker) = &self.docker {
            let theirs = told(docker);
            assert_eq!(ours, theirs, "corten's and docker's: {name}");
            if std::env::var_os("CORTEN_RECORD").is_some() {
                return record(name, theirs);
            }
            assert_eq!(recorded, theirs, "{RECORD} is not what this docker does: {name}");
        }
        assert_eq!(ours, recorded, "corten's and the record of docker's: {name}");
    }

    /// Answers each request whose line begins with `line`.
    pub fn answer(&self, line: &str, status: u16, body: &str) {
        self.answers.lock().expect("no server panics").insert(line.to_owned(), (status, body.to_owned()));
    }

    /// Makes `config.json` hold `text`, or be absent.
    pub fn configure(&self, text: Option<&str>) {
        let directory = self.root.make("cli-config");
        // Absent already is as good.
        let _ = fs::remove_file(directory.join("config.json"));
        if let Some(text) = text {
            fs::write(directory.join("config.json"), text).expect("the root is writable");
        }
    }

    /// What `config.json` holds now; empty when it is absent.
    pub fn configuration(&self) -> String {
        fs::read_to_string(self.root.join("cli-config/config.json")).unwrap_or_default()
    }

    /// Makes a program of `script` that both find in PATH.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.root.make("bin").join(name);
        fs::write(&path, script).expect("the root is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it was just written");
    }

    /// The directory of all that is the test's.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    fn command(&self, cli: &DockerCli, arguments: &[&str]) -> std::process::Command {
        let mut command = cli.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.root.join("bin").display())).env("TZ", "UTC");
        for variable in ["DOCKER_CONTENT_TRUST", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CLI_HINTS"] {
            command.env_remove(variable);
        }
        // docker would reach for the internet to log in at Docker Hub.
        command.env("DOCKER_CLI_DISABLE_OAUTH_LOGIN", "1");
        command
    }

    /// Runs the command line to its end on pipes; what it printed, and what it asked.
    #[track_caller]
    pub fn run(&self, cli: &DockerCli, arguments: &[&str], input: &[u8]) -> (Ran, Vec<Asked>) {
        self.asked();
        (Ran::with_input(&mut self.command(cli, arguments), input), self.asked())
    }

    /// Runs it on a terminal of `columns`, typing each line when its prompt appears; its exit code and the screen.
    #[track_caller]
    pub fn run_on_terminal(
        &self,
        cli: &DockerCli,
        columns: u16,
        arguments: &[&str],
        typed: &[(&str, &str)],
    ) -> (i32, String) {
        let command = self.command(cli, arguments);
        let mut shell = std::process::Command::new("sh");
        let script = format!("stty cols {columns}; \"$@\"; code=$?; echo '{END}'; exit $code");
        shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut terminal = Terminal::spawn(shell);
        for (prompt, line) in typed {
            terminal.expect(prompt);
            if prompt.contains("Password") {
                integration_tests::wait_for("the echo to be off", integration_tests::DEADLINE, || !terminal.echoes());
            }
            terminal.send(&format!("{line}\r"));
        }
        terminal.expect(END);
        let screen = terminal.output().split(END).next().unwrap_or_default().to_owned();
        (terminal.wait(), screen)
    }

    /// What was asked since the last look, the look for the version left out.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("no server panics"))
    }
}

/// Puts what docker does on record.
fn record(name: &str, told: String) {
    let _alone = RECORDING.lock();
    let text = fs::read_to_string(RECORD).expect("the record is there");
    let mut recorded: BTreeMap<String, String> = serde_json::from_str(&text).expect("the record is JSON");
    recorded.insert(name.to_owned(), told);
    let text = serde_json::to_string_pretty(&recorded).expect("texts can be written as JSON");
    fs::write(RECORD, text + "\n").expect("the sources are writable");
}

/// Answers the requests of one connection until it ends.
fn serve(connection: &UnixStream, answers: &Mutex<BTreeMap<String, Answer>>, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let is_head = request.line.starts_with("HEAD ");
        let (status, body) = if request.line.ends_with(" /_ping") {
            (200, "OK".to_owned())
        } else {
            let answers = answers.lock().expect("no server panics");
            // The longest beginning wins.
            let known = answers.iter().rev().find(|(line, _)| request.line.starts_with(line.as_str()));
            let answer =
                known.map_or_else(|| (501, "{\"message\":\"not told\"}".to_owned()), |(_, answer)| answer.clone());
            asked.lock().expect("no server panics").push(request);
            answer
        };
        let head = format!(
            "HTTP/1.1 {status} Told\r\nApi-Version: {API_VERSION}\r\nOstype: linux\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if is_head { "" } else { &body };
        if reader.get_mut().write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// One request; `None` at the connection's end.
fn read(reader: &mut BufReader<&UnixStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let (method, target) = line.split_once(' ')?;
    let target = target.split(' ').next()?;
    let target = target.strip_prefix(&format!("/v{API_VERSION}")).unwrap_or(target);
    let mut request = Asked { line: format!("{method} {target}"), ..Asked::default() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|count| *count > 0)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "x-registry-auth" => value.clone_into(&mut request.auth),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // Go ends a document with a newline.
    request.body = String::from_utf8_lossy(&body).trim_end().to_owned();
    Some(request)
}
