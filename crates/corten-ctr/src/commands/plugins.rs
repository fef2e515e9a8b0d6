//! `ctr plugins`.

use corten_proto::containerd::services::introspection::v1 as wire;
use corten_proto::containerd::types::Platform;

use crate::session::{Outcome, Session, api};
use crate::table;

/// Lists what the other side consists of.
pub async fn list(session: &Session) -> Outcome {
    let request = wire::PluginsRequest { filters: session.words() };
    let plugins = session.client.introspection().plugins(request).await.map_err(api)?.into_inner().plugins;
    if session.is_set("quiet") {
        plugins.iter().for_each(|plugin| println!("{}", plugin.id));
        return Ok(());
    }
    let mut lines = String::new();
    if session.is_set("detailed") {
        for (index, plugin) in plugins.iter().enumerate() {
            if index > 0 {
                lines.push_str("\t\t\t\n");
            }
            detail(plugin, &mut lines);
        }
    } else {
        lines.push_str("TYPE\tID\tPLATFORMS\tSTATUS\t\n");
        for plugin in &plugins {
            let status = match &plugin.init_err {
                None => "ok",
                Some(error) if error.message.contains("skip plugin") => "skip",
                Some(_) => "error",
            };
            let platforms = if plugin.platforms.is_empty() { "-".to_owned() } else { platforms(&plugin.platforms) };
            lines.push_str(&format!("{}\t{}\t{platforms}\t{status}\t\n", plugin.r#type, plugin.id));
        }
    }
    table::print(&lines, table::WIDE);
    Ok(())
}

fn detail(plugin: &wire::Plugin, lines: &mut String) {
    lines.push_str(&format!("Type:\t {}\nID:\t {}\n", plugin.r#type, plugin.id));
    if !plugin.requires.is_empty() {
        lines.push_str("Requires:\t\n");
        plugin.requires.iter().for_each(|required| lines.push_str(&format!("\t {required}\n")));
    }
    if !plugin.platforms.is_empty() {
        lines.push_str(&format!("Platforms:\t {}\n", platforms(&plugin.platforms)));
    }
    if !plugin.exports.is_empty() {
        lines.push_str("Exports:\t\n");
        let mut exports: Vec<_> = plugin.exports.iter().collect();
        exports.sort();
        exports.iter().for_each(|(key, value)| lines.push_str(&format!("\t {key} \t {value}\n")));
    }
    if !plugin.capabilities.is_empty() {
        lines.push_str(&format!("Capabilities:\t {}\n", plugin.capabilities.join(",")));
    }
    if let Some(error) = &plugin.init_err {
        let code = format!("{:?}", tonic::Code::from_i32(error.code));
        lines.push_str(&format!("Error:\t\n\t Code:\t {code}\n\t Message:\t {}\n", error.message));
    }
}

fn platforms(platforms: &[Platform]) -> String {
    let mut names: Vec<String> = platforms
        .iter()
        .map(|platform| {
            let parts = [&platform.os, &platform.architecture, &platform.variant];
            parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("/")
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}
