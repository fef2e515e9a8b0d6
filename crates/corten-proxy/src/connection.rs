//! One client's connection and the one to the container that belongs to it.
//!
//! ```text
//! client ──flow 0──> container        each flow:  socket ──splice──> pipe ──splice──> socket
//! client <──flow 1── container
//! ```
//!
//! A flow ends when its source has sent its last byte; then its target is told so (half-close), and the other flow goes
//! on. A connection that is reset on one side is reset on the other, as it would be without a relay in between; what was
//! received before is delivered first. A client whose container cannot be reached sees its connection end, as
//! docker-proxy has it.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use corten_sys::{epoll::Event, inet, splice::SplicePipe};

use crate::pipes::{Pipes, ROOM};

/// How many times a flow is moved in one turn, before others have theirs.
const ROUNDS_PER_TURN: usize = 16;
/// How often an idle peer is asked whether it is there: Go's default, and so docker-proxy's.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Two sockets and what is between them.
#[derive(Debug)]
pub struct Connection {
    sides: [Side; 2],
    flows: [Flow; 2],
    state: State,
    turn: Turn,
}

/// Whether a connection has a turn to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It wants one.
    Wanted,
    /// It stands in the queue already.
    Queued,
}

/// Which socket of a [`Connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that was accepted.
    Client,
    /// The one to the container.
    Container,
}

/// What is to be done with a connection after a turn.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on when a socket is ready.
    Waits,
    /// It goes on at once.
    HasMore,
    /// It is over.
    Over,
    /// It is over because the container could not be reached.
    Unreachable(io::Error),
    /// It is over because the system has no pipe for it.
    Starved(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// One side broke: the other is to be reset when it has what was received before.
    Broken,
}

/// What is known of a socket since it last said `EAGAIN`.
#[derive(Debug)]
struct Side {
    socket: TcpStream,
    is_readable: bool,
    is_writable: bool,
    is_failed: bool,
}

#[derive(Debug, Default)]
struct Flow {
    /// Held while bytes are in it.
    pipe: Option<SplicePipe>,
    in_pipe: usize,
    is_ended: bool,
}

/// Why a flow stopped.
enum Stop {
    Waits,
    HasMore,
    Starved(io::Error),
}

impl Connection {
    /// Of an accepted client and a [begun](inet::begin_connect) connection to the container.
    ///
    /// # Errors
    /// Those of fcntl(2) on the client.
    pub fn new(client: TcpStream, container: TcpStream) -> io::Result<Connection> {
        client.set_nonblocking(true)?;
        for socket in [&client, &container] {
            // What Go sets on its own; without them the bytes arrive, too.
            let _ = socket.set_nodelay(true);
            let _ = inet::keep_alive(socket, KEEP_ALIVE);
        }
        let side = |socket| Side { socket, is_readable: false, is_writable: false, is_failed: false };
        Ok(Connection {
            sides: [side(client), side(container)],
            flows: Default::default(),
            state: State::Connecting,
            turn: Turn::Wanted,
        })
    }

    /// One of its sockets.
    #[must_use]
    pub fn socket(&self, which: Which) -> BorrowedFd<'_> {
        self.sides[index(which)].socket.as_fd()
    }

    /// Notes what the kernel says of one of its sockets; tells whether that makes it want a turn.
    pub fn note(&mut self, which: Which, event: &Event) -> Turn {
        let side = &mut self.sides[index(which)];
        side.is_readable |= event.is_readable;
        side.is_writable |= event.is_writable;
        side.is_failed |= event.is_failed;
        std::mem::replace(&mut self.turn, Turn::Queued)
    }

    /// Moves what can be moved.
    pub fn turn(&mut self, pipes: &mut Pipes) -> Verdict {
        let verdict = self.move_bytes(pipes);
        // With more to do it stays in the queue.
        self.turn = if matches!(verdict, Verdict::HasMore) { Turn::Queued } else { Turn::Wanted };
        verdict
    }

    fn move_bytes(&mut self, pipes: &mut Pipes) -> Verdict {
        if self.state == State::Connecting {
            match self.connected() {
                Ok(State::Connecting) => return Verdict::Waits,
                Ok(state) => self.state = state,
                Err(error) => return Verdict::Unreachable(error),
            }
        }
        let mut has_more = false;
        for flow in [0, 1] {
            match self.flow(flow, pipes) {
                Stop::Waits => {}
                Stop::HasMore => has_more = true,
                Stop::Starved(error) => return Verdict::Starved(error),
            }
        }
        // A socket that has failed is not always seen to by a flow: the one out of it may have ended before.
        let dead = self.sides.iter().zip(&self.flows).any(|(side, flow_out)| side.is_failed && flow_out.is_ended);
        if dead {
            self.state = State::Broken;
        }
        let is_over = self.flows.iter().all(|flow| flow.is_ended) || dead;
        match (is_over, has_more) {
            (true, _) => Verdict::Over,
            (false, true) => Verdict::HasMore,
            (false, false) => Verdict::Waits,
        }
    }

    /// Closes both sockets: with a reset where the connection broke, but not at the price of bytes that are still to be
    /// sent; those go first, and an ordinary end follows them.
    pub fn close(self) {
        for side in self.sides {
            if self.state == State::Broken && inet::unsent(&side.socket).is_ok_and(|bytes| bytes == 0) {
                inet::reset(side.socket);
            }
        }
    }

    /// Looks whether the connection to the container has come about.
    fn connected(&mut self) -> io::Result<State> {
        let container = &mut self.sides[index(Which::Container)];
        if !container.is_writable {
            return Ok(State::Connecting);
        }
        match container.socket.take_error()? {
            None => Ok(State::Open),
            // Of a connection that was refused it is another: this one was there, and may have sent something.
            Some(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                container.is_readable = true;
                self.flows[index(Which::Client)].is_ended = true;
                Ok(State::Broken)
            }
            Some(error) => Err(error),
        }
    }

    /// Moves bytes of one flow until a socket has to be waited for, or others are to have their turn.
    fn flow(&mut self, number: usize, pipes: &mut Pipes) -> Stop {
        let flow = &mut self.flows[number];
        let [client, container] = &mut self.sides;
        let (from, to) = if number == 0 { (client, container) } else { (container, client) };
        for _ in 0..ROUNDS_PER_TURN {
            if flow.in_pipe == 0 {
                if flow.is_ended || !from.is_readable {
                    flow.release(pipes);
                    return Stop::Waits;
                }
                match flow.fill(from, pipes) {
                    Ok(Filled::Bytes) => {}
                    Ok(Filled::Nothing) => {
                        flow.release(pipes);
                        return Stop::Waits;
                    }
                    Ok(Filled::End) => {
                        flow.is_ended = true;
                        flow.release(pipes);
                        if self.state == State::Open {
                            // Of a target that is gone already the other flow learns.
                            let _ = to.socket.shutdown(Shutdown::Write);
                        }
                        return Stop::Waits;
                    }
                    Ok(Filled::Reset) => {
                        // Read empty and broken: both flows are over.
                        self.state = State::Broken;
                        self.flows.iter_mut().for_each(|flow| flow.is_ended = true);
                        return Stop::Waits;
                    }
                    Err(error) => return Stop::Starved(error),
                }
            }
            if !to.is_writable {
                return Stop::Waits;
            }
            if flow.empty(to).is_err() {
                // The target is gone, but what it sent before may still be there for the other flow.
                *flow = Flow { is_ended: true, ..Flow::default() };
                to.is_readable = true;
                self.state = State::Broken;
                return if self.flows[1 - number].is_ended { Stop::Waits } else { Stop::HasMore };
            }
        }
        Stop::HasMore
    }
}

/// What [`Flow::fill`] found in the source.
enum Filled {
    Bytes,
    Nothing,
    End,
    Reset,
}

impl Flow {
    /// Takes from `from` into the pipe, which is empty.
    fn fill(&mut self, from: &mut Side, pipes: &mut Pipes) -> io::Result<Filled> {
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => pipes.take()?,
        };
        // The pipe is empty, so EAGAIN speaks of the socket.
        let filled = match pipe.fill(&from.socket, ROOM) {
            Ok(0) => Filled::End,
            Ok(bytes) => {
                self.in_pipe = bytes;
                Filled::Bytes
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                from.is_readable = false;
                Filled::Nothing
            }
            Err(_) => Filled::Reset,
        };
        self.pipe = Some(pipe);
        Ok(filled)
    }

    /// Puts into `to` what it takes.
    fn empty(&mut self, to: &mut Side) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        match pipe.drain(&to.socket, self.in_pipe) {
            Ok(bytes) => self.in_pipe -= bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.is_writable = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the pipe back when nothing is in it.
    fn release(&mut self, pipes: &mut Pipes) {
        if let Some(pipe) = self.pipe.take_if(|_| self.in_pipe == 0) {
            pipes.give_back(pipe);
        }
    }
}

const fn index(which: Which) -> usize {
    match which {
        Which::Client => 0,
        Which::Container => 1,
    }
}
