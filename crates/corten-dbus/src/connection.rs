//! The connection to a bus: it is let in, calls and waits, and keeps signals that come meanwhile.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::message::{self, Kind, Message};
use crate::value::Value;
use crate::{Error, Result, address};

/// The bus itself.
const BUS: &str = "org.freedesktop.DBus";
/// How long an answer may take. firewalld builds its rules anew within about a second.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest line of a bus that lets somebody in.
const MOST_LINE_BYTES: usize = 4096;
/// Signals that are kept; of more only the last ones, which say as much as all of them to who looks for himself then.
const MOST_SIGNALS: usize = 64;

/// A connection, with a name on the bus.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Bytes that came and were not read yet.
    received: Vec<u8>,
    last_serial: u32,
    signals: VecDeque<Signal>,
    patience: Duration,
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Whose.
    pub destination: &'a str,
    /// Which object.
    pub path: &'a str,
    /// Which interface.
    pub interface: &'a str,
    /// Which method.
    pub member: &'a str,
}

/// A signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The interface it belongs to.
    pub interface: String,
    /// Its name.
    pub member: String,
    /// What it carries.
    pub body: Vec<Value>,
}

impl Connection {
    /// Connects to the first bus of `address` that listens.
    ///
    /// # Errors
    /// [`Error::is_absent`] when there is none; what keeps us out.
    pub fn open(address: &str) -> Result<Connection> {
        Connection::open_within(address, PATIENCE)
    }

    /// The same; no answer, to this or to a later call, may take longer than `patience`.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_within(address: &str, patience: Duration) -> Result<Connection> {
        let mut failed = Error::Address(address.to_owned());
        for socket in address::sockets(address) {
            match UnixStream::connect_addr(&socket) {
                Ok(stream) => return Connection::on(stream, patience),
                Err(source) => failed = Error::Connect { address: address.to_owned(), source },
            }
        }
        Err(failed)
    }

    /// On a socket that is connected to a bus.
    ///
    /// # Errors
    /// What keeps us out.
    pub fn on(stream: UnixStream, patience: Duration) -> Result<Connection> {
        let new = Connection { stream, received: Vec::new(), last_serial: 0, signals: VecDeque::new(), patience };
        let mut new = new.let_in(Instant::now() + patience)?;
        new.call(&bus("Hello"), &[])?;
        Ok(new)
    }

    /// Whom the kernel says we are is all that is asked (specification, "EXTERNAL").
    fn let_in(mut self, deadline: Instant) -> Result<Connection> {
        self.write(b"\0AUTH EXTERNAL\r\nDATA\r\n", deadline)?;
        for expected in ["DATA", "OK"] {
            let line = self.line(deadline)?;
            if line.split(' ').next() != Some(expected) {
                return Err(Error::Refused(line));
            }
        }
        self.write(b"BEGIN\r\n", deadline)?;
        Ok(self)
    }

    fn line(&mut self, deadline: Instant) -> Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                self.received.drain(..end + 2);
                return Ok(line);
            }
            if self.received.len() > MOST_LINE_BYTES {
                return Err(Error::Malformed("a line without an end"));
            }
            self.read(Some(deadline), "AUTH")?;
        }
    }

    /// Calls, and waits for the answer.
    ///
    /// # Errors
    /// [`Error::Answer`] is the other side's; after any other the connection is of no use any more.
    pub fn call(&mut self, call: &Call<'_>, body: &[Value]) -> Result<Vec<Value>> {
        let deadline = Instant::now() + self.patience;
        self.last_serial += 1;
        let mut message = Message::new(Kind::Call, self.last_serial);
        message.path = Some(call.path.to_owned());
        message.interface = Some(call.interface.to_owned());
        message.member = Some(call.member.to_owned());
        message.destination = Some(call.destination.to_owned());
        message.body = body.to_vec();
        self.write(&message.encode(), deadline)?;
        loop {
            let Some(answer) = self.next()? else {
                self.read(Some(deadline), call.member)?;
                continue;
            };
            if answer.reply_to != Some(message.serial) {
                self.keep(answer);
                continue;
            }
            match answer.kind {
                Kind::Return => return Ok(answer.body),
                Kind::Error => {
                    let text = answer.body.first().and_then(Value::as_str).unwrap_or_default().to_owned();
                    return Err(Error::Answer { name: answer.error.unwrap_or_default(), text });
                }
                Kind::Call | Kind::Signal => self.keep(answer),
            }
        }
    }

    /// From now on signals that fit `rule` come here (specification, "Match Rules").
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn listen(&mut self, rule: &str) -> Result<()> {
        self.call(&bus("AddMatch"), &[Value::string(rule)]).map(drop)
    }

    /// Whether somebody has `name`.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn has_owner(&mut self, name: &str) -> Result<bool> {
        let answer = self.call(&bus("NameHasOwner"), &[Value::string(name)])?;
        Ok(answer.first() == Some(&Value::Boolean(true)))
    }

    /// The process that has `name`; `None` when the bus does not tell.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn process_of(&mut self, name: &str) -> Result<Option<u32>> {
        match self.call(&bus("GetConnectionUnixProcessID"), &[Value::string(name)]) {
            Ok(answer) => Ok(match answer.first() {
                Some(Value::Uint32(pid)) => Some(*pid),
                _ => None,
            }),
            Err(Error::Answer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The signals that have come, without waiting.
    ///
    /// # Errors
    /// When the bus has gone, or breaks the rules.
    pub fn signals(&mut self) -> Result<Vec<Signal>> {
        while self.read(None, "signals")? {}
        while let Some(message) = self.next()? {
            self.keep(message);
        }
        Ok(self.signals.drain(..).collect())
    }

    fn keep(&mut self, message: Message) {
        if let (Kind::Signal, Some(interface), Some(member)) = (message.kind, message.interface, message.member) {
            if self.signals.len() >= MOST_SIGNALS {
                self.signals.pop_front();
            }
            self.signals.push_back(Signal { interface, member, body: message.body });
        }
    }

    /// The next message of what has come whole.
    fn next(&mut self) -> Result<Option<Message>> {
        while let Some(length) = message::length(&self.received)?.filter(|length| *length <= self.received.len()) {
            let message = Message::decode(&self.received[..length])?;
            self.received.drain(..length);
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// Reads what there is, until the deadline if need be; without one it does not wait, and answers whether there was
    /// anything.
    fn read(&mut self, deadline: Option<Instant>, member: &str) -> Result<bool> {
        let late = || Error::TimedOut(member.to_owned());
        self.stream.set_nonblocking(deadline.is_none()).map_err(Error::Io)?;
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            self.stream.set_read_timeout(Some(left)).map_err(Error::Io)?;
        }
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Error::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                // A whole message is at most so long: what comes before it is looked at is bounded, too.
                match deadline.is_none() && self.received.len() > message::MOST_BYTES {
                    true => Ok(false),
                    false => Ok(true),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && deadline.is_none() => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(late()),
            Err(error) => Err(Error::Io(error)),
        }
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_nonblocking(false).map_err(Error::Io)?;
        self.stream.set_write_timeout(Some(left)).map_err(Error::Io)?;
        self.stream.write_all(bytes).map_err(Error::Io)
    }
}

impl AsFd for Connection {
    /// Readable when [`Connection::signals`] may have something, which can also have come during a call.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

const fn bus(member: &str) -> Call<'_> {
    Call { destination: BUS, path: "/org/freedesktop/DBus", interface: BUS, member }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn read_line(stream: &mut UnixStream) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a line");
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("text")
    }

    fn read_message(stream: &mut UnixStream) -> Message {
        let mut bytes = vec![0; message::FIXED_BYTES];
        stream.read_exact(&mut bytes).expect("the fixed part");
        let length = message::length(&bytes).expect("sound").expect("enough");
        bytes.resize(length, 0);
        stream.read_exact(&mut bytes[message::FIXED_BYTES..]).expect("the rest");
        Message::decode(&bytes).expect("sound").expect("known")
    }

    fn answer(to: &Message, body: Vec<Value>) -> Vec<u8> {
        let mut answer = Message::new(Kind::Return, 1);
        answer.reply_to = Some(to.serial);
        answer.body = body;
        answer.encode()
    }

    fn signal(member: &str) -> Vec<u8> {
        let mut signal = Message::new(Kind::Signal, 9);
        (signal.path, signal.interface) = (Some("/".to_owned()), Some("i.f".to_owned()));
        signal.member = Some(member.to_owned());
        signal.encode()
    }

    /// A bus that lets in, answers `Hello`, and then does `more`.
    fn with_bus(more: impl FnOnce(&mut UnixStream) + Send + 'static) -> Connection {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        thread::spawn(move || {
            assert_eq!(read_line(&mut theirs), "\0AUTH EXTERNAL\r\n");
            assert_eq!(read_line(&mut theirs), "DATA\r\n");
            theirs.write_all(b"DATA\r\nOK 0123\r\n").expect("written");
            assert_eq!(read_line(&mut theirs), "BEGIN\r\n");
            let hello = read_message(&mut theirs);
            assert_eq!((hello.member.as_deref(), hello.destination.as_deref()), (Some("Hello"), Some(BUS)));
            theirs.write_all(&answer(&hello, vec![Value::string(":1.1")])).expect("written");
            more(&mut theirs);
        });
        Connection::on(ours, PATIENCE).expect("let in")
    }

    #[test]
    fn a_call_gets_its_own_answer_and_signals_are_kept() {
        let mut connection = with_bus(|bus| {
            let call = read_message(bus);
            let mut bytes = signal("First");
            bytes.extend_from_slice(&signal("Second"));
            bytes.extend_from_slice(&answer(&call, vec![Value::Boolean(true)]));
            // In pieces, as it may come.
            for piece in bytes.chunks(5) {
                bus.write_all(piece).expect("written");
            }
            let call = read_message(bus);
            let mut error = Message::new(Kind::Error, 2);
            error.reply_to = Some(call.serial);
            error.error = Some("a.B".to_owned());
            error.body = vec![Value::string("NAME_CONFLICT: there is one")];
            bus.write_all(&error.encode()).expect("written");
            let _ = bus.read(&mut [0]);
        });
        assert!(connection.has_owner("a.b").expect("answered"));
        let error = connection.listen("rule").expect_err("refused");
        assert!(error.says("NAME_CONFLICT") && !error.is_unknown_method(), "{error}");
        let names: Vec<String> = connection.signals().expect("kept").into_iter().map(|signal| signal.member).collect();
        assert_eq!(names, ["First", "Second"]);
        assert_eq!(connection.signals().expect("none"), []);
    }

    #[test]
    fn a_bus_that_goes_or_refuses_is_told() {
        let mut connection = with_bus(|bus| drop(read_message(bus)));
        assert!(matches!(connection.has_owner("a.b"), Err(Error::Io(_))));
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(b"REJECTED EXTERNAL\r\n").expect("written");
        assert!(matches!(Connection::on(ours, PATIENCE), Err(Error::Refused(line)) if line == "REJECTED EXTERNAL"));
        assert!(Connection::open("unix:path=/nonexistent/bus").is_err_and(|error| error.is_absent()));
        assert!(matches!(Connection::open("tcp:host=x"), Err(Error::Address(_))));
    }
}
