//! What an engine says, and what it is answered.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use corten_relay::{Answer, Held, Request, server};

use super::keeper::Keeper;

impl Keeper {
    /// Takes one request from `connection` and answers it; `false` when it has ended.
    ///
    /// # Errors
    /// Those of recvmsg(2) and sendmsg(2).
    pub(super) fn answer(&mut self, connection: &OwnedFd, now: Instant) -> io::Result<bool> {
        let Some(request) = server::receive(connection)? else { return Ok(false) };
        let answer = match request {
            Err(error) => Answer::Refused(error.to_string()),
            Ok(request) => self.obey_request(request, connection, now)?,
        };
        server::answer(connection.as_fd(), &answer)?;
        Ok(true)
    }

    /// Does what is asked. What goes before the last answer is sent here.
    fn obey_request(&mut self, request: Request, connection: &OwnedFd, now: Instant) -> io::Result<Answer> {
        let done = match request {
            Request::Hello => return Ok(Answer::Hello { version: corten_relay::VERSION.to_owned() }),
            Request::Hold(hold) => self.hold(hold),
            Request::Drop { container, ports: None } => {
                self.drop_container(&container, now);
                Ok(())
            }
            Request::Drop { container, ports: Some(ports) } => {
                self.drop_ports(&container, &ports, now);
                Ok(())
            }
            Request::Refresh(subjects) => self.refresh(subjects),
            Request::List => {
                server::answer(connection.as_fd(), &Answer::Listed(self.told()))?;
                Ok(())
            }
            Request::Takeover => {
                for (container, holding) in &self.holdings {
                    server::answer(connection.as_fd(), &Answer::Given(self.copies(container, holding)?))?;
                }
                Ok(())
            }
            Request::Taken => self.leave(now),
        };
        Ok(done.map_or_else(Answer::Refused, |()| Answer::Done))
    }

    /// Everything that is held.
    fn told(&self) -> Vec<Held> {
        self.holdings.iter().map(|(container, holding)| holding.told(container)).collect()
    }
}
