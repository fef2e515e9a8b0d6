//! A process with a network namespace of its own in a container's place, and the names it finds there.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use corten_network::{kernel::resolver, plan::Sandbox};
use corten_relay::{Hold, Resolver};
use corten_sys::pidfd::PidFd;
use corten_types::Identifier;

use crate::{Ran, in_network_of, in_own_network};

/// A process with a network namespace of its own, in a container's place.
#[derive(Debug)]
pub struct NetContainer {
    /// Its id.
    pub id: Identifier,
    init: Child,
}

impl NetContainer {
    /// One of that id.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> NetContainer {
        let init = in_own_network(|| {
            Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("the test has the right and the time")
        });
        NetContainer { id: name.parse().expect("an id"), init }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.init.id()
    }

    /// What is handed over of it, with nothing held yet.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::new(self.id.clone(), PidFd::open(self.init.id()).expect("the test has the right and the time"))
    }

    /// Does `work` in its network namespace.
    ///
    /// # Panics
    /// When it has ended, and when `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.init.id(), work)
    }

    /// What the engine makes in it: the sockets, and the rules that lead port 53 there.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        let sandbox = Sandbox { path: format!("/proc/{}/ns/net", self.init.id()).into() };
        let sockets = resolver::make(&sandbox).expect("the test has the right and the time");
        let namespace = File::open(&sandbox.path).expect("the test has the right and the time");
        Resolver { udp: sockets.udp.into(), tcp: sockets.tcp.into(), namespace: namespace.into() }
    }

    /// What dig says to `question`, without its comments.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[track_caller]
    #[must_use]
    pub fn dig(&self, question: &str) -> String {
        let mut command = Command::new("dig");
        command.args(["@127.0.0.11", "+tries=1", "+time=20"]).args(question.split(' '));
        self.inside(|| Ran::of(&mut command)).ok().out().to_owned()
    }

    /// The answers that dig finds, sorted.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, question: &str) -> Vec<String> {
        let said = self.dig(&format!("+short {question}"));
        let mut answers: Vec<String> = said.lines().map(str::to_owned).collect();
        answers.sort();
        answers
    }

    /// For each of `questions` its status and its answers, sorted, found by one dig.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[track_caller]
    #[must_use]
    pub fn ask_all<'a>(&self, option: &str, questions: &[&'a str]) -> Vec<(&'a str, String, Vec<String>)> {
        let said = self.dig(&format!("+noall +comments +answer {option} {}", questions.join(" ")));
        let parts: Vec<&str> = said.split(";; Got answer:").skip(1).collect();
        assert_eq!(parts.len(), questions.len(), "{said}");
        let found = questions.iter().zip(parts).map(|(question, part)| {
            let status = part
                .split("status: ")
                .nth(1)
                .and_then(|rest| rest.split(',').next())
                .expect("the test has the right and the time");
            let records = part.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
            let mut answers: Vec<String> = records
                .map(|line| line.split_whitespace().last().expect("the test has the right and the time").to_owned())
                .collect();
            answers.sort();
            (*question, status.to_owned(), answers)
        });
        found.collect()
    }

    /// `NOERROR`, …
    ///
    /// # Panics
    /// When it cannot be asked.
    #[track_caller]
    #[must_use]
    pub fn status(&self, question: &str) -> String {
        let said = self.dig(question);
        let status = said.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
        status.unwrap_or_else(|| panic!("no status: {said}")).to_owned()
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        self.init.kill().expect("the test has the right and the time");
        self.init.wait().expect("the test has the right and the time");
    }
}

impl Drop for NetContainer {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = self.init.kill();
        let _ = self.init.wait();
    }
}
