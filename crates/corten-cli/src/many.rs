//! The same call for several containers.

use crate::cli::Cli;
use crate::failure::{Outcome, join};
use corten_docker_api::client::ClientError;
use std::pin::Pin;

/// One call at work.
pub type Call<'a> = Pin<Box<dyn Future<Output = Result<(), ClientError>> + 'a>>;

/// Calls running at once, as in docker.
const AT_ONCE: usize = 50;

/// Makes the call for each name, many at once; prints the names that worked in the order given and
/// returns the failures in that order.
pub async fn each<'a>(cli: &'a Cli, names: &'a [String], call: impl Fn(&'a str) -> Call<'a>) -> Outcome {
    let mut failures = Vec::new();
    for names in names.chunks(AT_ONCE) {
        let mut calls: Vec<_> = names.iter().map(|name| Pending::Running(call(name))).collect();
        for index in 0..calls.len() {
            let result = std::future::poll_fn(|context| {
                // Every call goes on while the first in line is waited for.
                for call in &mut calls[index..] {
                    call.poll(context);
                }
                calls[index].take()
            })
            .await;
            match result {
                Ok(()) => cli.print_line(&names[index]),
                Err(error) => failures.push(error.to_string()),
            }
        }
    }
    join(failures)
}

enum Pending<'a> {
    Running(Call<'a>),
    Done(Option<Result<(), ClientError>>),
}

impl Pending<'_> {
    fn poll(&mut self, context: &mut std::task::Context<'_>) {
        if let Self::Running(call) = self
            && let std::task::Poll::Ready(result) = call.as_mut().poll(context)
        {
            *self = Self::Done(Some(result));
        }
    }

    fn take(&mut self) -> std::task::Poll<Result<(), ClientError>> {
        match self {
            Self::Done(result) => result.take().map_or(std::task::Poll::Pending, std::task::Poll::Ready),
            Self::Running(_) => std::task::Poll::Pending,
        }
    }
}
