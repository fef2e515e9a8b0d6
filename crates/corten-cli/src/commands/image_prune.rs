//! `image prune`: removes images that nothing needs.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::confirm::confirm;
use crate::failure::Outcome;
use crate::flags::Flag;
use crate::request::filters;
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, Query};
use corten_docker_api::images::ImagesPruned;
use corten_terminal::units::human_size;

/// The command.
pub const VERB: Verb = verb!(image_prune, "[OPTIONS]", "Remove images that nothing uses", Arity::None, FLAGS);

const FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all images without a container, not only those without a name").short('a'),
    Flag::filter_without_short(),
    Flag::bool("force", "Do not ask").short('f'),
];

const QUESTION_ALL: &str = "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue?";
const QUESTION: &str = "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";

/// Removes images, once confirmed.
pub async fn image_prune(cli: &Cli, matches: &Matches) -> Outcome {
    let all = matches.flag("all");
    if !matches.flag("force") && !confirm(cli, if all { QUESTION_ALL } else { QUESTION }).await? {
        return Ok(());
    }
    let mut conditions = matches.list("filter").to_vec();
    conditions.push(format!("dangling={}", !all));
    let query = Query::new().non_empty("filters", &filters(&conditions));
    let target = format!("/images/prune{}", query.as_str());
    let pruned: ImagesPruned = cli.client.send(Method::POST, &target, Payload::Empty).await?.json().await?;
    let mut text = String::new();
    for (number, gone) in pruned.images_deleted.iter().flatten().enumerate() {
        if number == 0 {
            text.push_str("Deleted Images:\n");
        }
        let line = match gone.untagged.as_str() {
            "" => format!("deleted: {}\n", gone.deleted),
            name => format!("untagged: {name}\n"),
        };
        text.push_str(&line);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let freed = human_size(pruned.space_reclaimed as f64);
    cli.print(&format!("{text}Total reclaimed space: {freed}\n"));
    Ok(())
}
