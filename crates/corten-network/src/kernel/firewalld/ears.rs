//! Hearing of firewalld: that it was started, or has read its configuration anew. A bus that goes is listened to again
//! when it is back, which its socket's directory tells (inotify(7)); where there is none nothing wakes.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use corten_dbus::{Connection, Error, Value, address};
use corten_sys::inotify::{Inotify, Mask, Watch};

use super::{Bus, NAME, PATH};

/// How long a bus may take to let somebody in: healing waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first pause before another try, which is doubled each time. A socket is there a moment before somebody listens.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a socket is tried at which nobody listens, after its directory has told of it: for six seconds.
const TRIES: u32 = 7;

/// Hears, or waits for something to be heard.
#[derive(Debug)]
pub struct Ears {
    bus: Bus,
    state: State,
}

#[derive(Debug)]
enum State {
    Hearing(Connection),
    Waiting(Waiting),
    /// No rules are made, or there is no address.
    Deaf,
}

/// Where a bus is to appear.
#[derive(Debug)]
struct Waiting {
    inotify: Option<Inotify>,
    /// The name that brings a socket nearer, in each directory that is watched.
    awaited: Vec<(Watch, OsString)>,
    tries: u32,
    again: Option<Instant>,
}

impl Ears {
    /// Listens to the bus that there is or will be.
    pub fn open(bus: Bus) -> Self {
        let mut ears = Self { state: State::Deaf, bus };
        if ears.bus.is_wanted() && !address::sockets(ears.bus.address()).is_empty() {
            let _ = ears.connect(0);
        }
        ears
    }

    /// What is readable when there is something to [`hear`](Self::hear).
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Hearing(bus) => Some(bus.as_fd()),
            State::Waiting(waiting) => waiting.inotify.as_ref().map(AsFd::as_fd),
            State::Deaf => None,
        }
    }

    /// When to hear although nothing is readable.
    pub fn again(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(waiting) => waiting.again,
            State::Hearing(_) | State::Deaf => None,
        }
    }

    /// Whether firewalld has to be looked at. Does not wait, but for a bus that is slow to let in.
    pub fn hear(&mut self) -> bool {
        match &mut self.state {
            State::Deaf => false,
            State::Hearing(connection) => match connection.signals() {
                Ok(signals) => {
                    let mut matters = false;
                    for signal in &signals {
                        let owner = signal.body.get(2).and_then(Value::as_str);
                        match (signal.member.as_str(), owner) {
                            ("Reloaded", _) => self.bus.seen().reloaded = Some(SystemTime::now()),
                            // Name, old owner, new owner.
                            ("NameOwnerChanged", Some("")) => {
                                self.bus.seen().is_in_use = false;
                                continue;
                            }
                            ("NameOwnerChanged", Some(_)) => {}
                            _ => continue,
                        }
                        matters = true;
                    }
                    matters
                }
                Err(_) => {
                    // The bus has gone, and with it firewalld.
                    self.bus.seen().is_in_use = false;
                    self.connect(0)
                }
            },
            State::Waiting(waiting) => {
                let (tries, is_due) = (waiting.tries, waiting.again.is_some_and(|again| again <= Instant::now()));
                match waiting.has_news() {
                    true => self.connect(0),
                    false => is_due && self.connect(tries),
                }
            }
        }
    }

    /// Listens to a bus that is there, after so many tries; waits for one that is not.
    fn connect(&mut self, tries: u32) -> bool {
        // Watched before it is looked at, so that nothing comes between.
        let (inotify, awaited) = watch(self.bus.address());
        let pause = (PAUSE * 2u32.saturating_pow(tries)).min(LONGEST_PAUSE);
        let again = match self.listen() {
            Ok(connection) => {
                self.state = State::Hearing(connection);
                return true;
            }
            // Its directory tells when there is one.
            Err(error) if error.is_absent() && inotify.is_some() => (tries < TRIES).then(|| Instant::now() + pause),
            Err(_) => Some(Instant::now() + pause),
        };
        // Where there is no socket there is nothing to try.
        let again = again.filter(|_| inotify.is_none() || self.bus.may_be_there());
        self.state = State::Waiting(Waiting { inotify, awaited, tries: tries + 1, again });
        false
    }

    fn listen(&self) -> corten_dbus::Result<Connection> {
        let mut bus = Connection::open_within(self.bus.address(), PATIENCE)?;
        let reloaded = format!("type='signal',sender='{NAME}',path='{PATH}',interface='{NAME}',member='Reloaded'");
        let owner = format!(
            "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{NAME}'"
        );
        bus.listen(&reloaded)?;
        bus.listen(&owner)?;
        Ok::<_, Error>(bus)
    }
}

impl Waiting {
    /// Whether a socket has come nearer.
    fn has_news(&self) -> bool {
        let Some(events) = self.inotify.as_ref().and_then(|inotify| inotify.read().ok()) else { return false };
        let gone = Mask::DELETE_SELF | Mask::MOVE_SELF | Mask::IGNORED | Mask::OVERFLOW;
        events.into_iter().any(|event| {
            event.mask.intersects(gone)
                || self.awaited.iter().any(|(watch, name)| *watch == event.watch && *name == event.name)
        })
    }
}

/// Watches the nearest directory of each socket of an address that there is, for what is to appear in it.
fn watch(address: &str) -> (Option<Inotify>, Vec<(Watch, OsString)>) {
    let Ok(inotify) = Inotify::new() else { return (None, Vec::new()) };
    let mut awaited = Vec::new();
    for path in address::sockets(address).iter().filter_map(|socket| socket.as_pathname()) {
        awaited.extend(watch_one(&inotify, path));
    }
    (Some(inotify).filter(|_| !awaited.is_empty()), awaited)
}

fn watch_one(inotify: &Inotify, socket: &Path) -> Option<(Watch, OsString)> {
    let mask = Mask::CREATE | Mask::MOVED_TO | Mask::DELETE_SELF | Mask::MOVE_SELF;
    let mut path: PathBuf = socket.to_owned();
    while let (Some(name), Some(directory)) = (path.file_name(), path.parent()) {
        if let Ok(watch) = inotify.add(directory, mask) {
            return Some((watch, name.to_owned()));
        }
        path = directory.to_owned();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn ears(socket: &Path) -> Ears {
        Ears::open(Bus::new(format!("unix:path={}", socket.display()), true))
    }

    #[test]
    fn without_a_bus_nothing_wakes_until_one_appears() {
        let directory = std::env::temp_dir().join(format!("corten-ears-{}", std::process::id()));
        let socket = directory.join("run/bus");
        std::fs::create_dir_all(&directory).expect("made");
        let mut ears = ears(&socket);
        let is_readable = |ears: &Ears| {
            let descriptor = ears.descriptor().expect("a directory is watched");
            corten_sys::poll::readable(&[descriptor], Some(Duration::ZERO)).expect("polled") == [true]
        };
        assert!(ears.again().is_none() && !is_readable(&ears), "there is nothing to try");
        std::fs::write(directory.join("other"), "").expect("written");
        assert!(!ears.hear() && ears.again().is_none());
        // The directory first, then the socket in it.
        std::fs::create_dir(directory.join("run")).expect("made");
        assert!(is_readable(&ears) && !ears.hear() && ears.again().is_none());
        let listener = UnixListener::bind(&socket).expect("bound");
        assert!(is_readable(&ears));
        drop(listener);
        // A socket at which nobody listens is tried some times, and then left until it is made anew.
        assert!(!ears.hear());
        let mut tries = 0;
        while let State::Waiting(Waiting { again: Some(again), .. }) = &mut ears.state {
            *again = Instant::now();
            assert!(!ears.hear());
            tries += 1;
        }
        assert_eq!(tries, TRIES);
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
