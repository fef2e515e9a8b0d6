//! `logout`: forgets what is kept for a registry.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::credentials::{self, HUB, host_of};
use crate::failure::Outcome;
use crate::tree::{Arity, Verb, verb};

/// The command.
pub const VERB: Verb = verb!(logout, "[SERVER]", "Forget what is kept for a registry", Arity::AtMost(1), &[]);

/// Forgets a registry's credentials, also under the addresses they were kept for long ago.
pub async fn logout(cli: &Cli, matches: &Matches) -> Outcome {
    let server = matches.arguments.first().map_or("", String::as_str);
    let (host, keys) = if server.is_empty() {
        (HUB.to_owned(), vec![HUB.to_owned()])
    } else {
        let host = host_of(server);
        let old = [format!("http://{host}"), format!("https://{host}")];
        (host.clone(), [server.to_owned(), host].into_iter().chain(old).collect())
    };
    if server.is_empty() {
        forget_web_login(cli).await;
    }
    cli.print_line(&format!("Removing login credentials for {host}"));
    let mut failures = Vec::new();
    for key in &keys {
        if let Err(error) = credentials::erase(&cli.config, key).await {
            failures.push(format!("{key}: {error}"));
        }
    }
    // One that worked is enough: a helper may not know the other addresses.
    if failures.len() == keys.len() {
        cli.warn("WARNING: could not erase credentials:");
        failures.iter().for_each(|failure| cli.warn(failure));
    }
    Ok(())
}

/// Removes the tokens that docker's login in a browser keeps beside Docker Hub's credentials.
///
/// What docker does besides, revoking them at Docker Hub, takes a client of registries, which is the daemon's.
async fn forget_web_login(cli: &Cli) {
    let (refresh, access) = (format!("{HUB}refresh-token"), format!("{HUB}access-token"));
    let kept = credentials::get(&cli.config, &refresh).await;
    let forgotten = match kept {
        // docker writes the token and its own id with two dots between; anything else is not its.
        Ok(kept) if kept.password.split("..").count() == 2 => {
            cli.warn("WARNING: the tokens of a login in a browser are removed here, but Docker Hub takes them until they expire");
            match credentials::erase(&cli.config, &access).await {
                Ok(()) => credentials::erase(&cli.config, &refresh).await,
                error => error,
            }
        }
        other => other.map(drop),
    };
    if let Err(error) = forgotten {
        cli.warn(&format!("WARNING: {error}"));
    }
}
