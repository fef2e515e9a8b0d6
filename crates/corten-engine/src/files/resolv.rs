//! The text of `/etc/resolv.conf`.

use std::net::IpAddr;

/// Asked when the host's own servers cannot be reached from a container.
const PUBLIC_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Where the engine answers names.
const ENGINE_SERVER: &str = "127.0.0.11";

/// Servers, domains and options; an empty list leaves what the file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--dns`.
    pub servers: Vec<String>,
    /// `--dns-search`; one `.` means none.
    pub search: Vec<String>,
    /// `--dns-option`.
    pub options: Vec<String>,
}

/// What is asked of a container's resolver that the engine's does not know itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The servers, in their order.
    pub servers: Vec<String>,
    /// Whether the host's own file names them, so that they are asked from the host as the host does; what a user names
    /// is asked from the container, its loopback addresses too.
    pub are_of_the_host: bool,
    /// Whether unknown names of one label stay here, because the client goes on with its search list.
    pub keeps_single_labels: bool,
}

/// The parts of a resolv.conf that matter to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ResolvConf {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
}

/// The file of a container in the host's network or in none: the host's servers stay, whatever they are.
pub fn text_of_host(host_file: &str, overrides: &Overrides) -> String {
    if *overrides == Overrides::default() {
        return host_file.to_owned();
    }
    print(&merge(parse(host_file), overrides))
}

/// The file of a container on a network of its own, where the host's loopback servers cannot be reached.
pub fn text(host_file: &str, overrides: &Overrides) -> String {
    let mut conf = merge(parse(host_file), overrides);
    if overrides.servers.is_empty() {
        conf.servers.retain(|server| !is_loopback(server));
        if conf.servers.is_empty() {
            conf.servers = PUBLIC_SERVERS.map(str::to_owned).to_vec();
        }
    }
    print(&conf)
}

/// The file of a container whose questions the engine answers: it asks 127.0.0.11, and names of one label as they are.
pub fn text_of_names(host_file: &str, overrides: &Overrides) -> String {
    let mut conf = merge(parse(host_file), overrides);
    conf.servers = vec![ENGINE_SERVER.to_owned()];
    if !conf.options.iter().any(|option| option.starts_with("ndots:")) {
        conf.options.push("ndots:0".to_owned());
    }
    print(&conf)
}

/// The servers behind the engine's, and what the user set `ndots` to.
pub fn upstream(host_file: &str, overrides: &Overrides) -> Upstream {
    let conf = merge(parse(host_file), overrides);
    let ndots: Option<u32> = conf.options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse().ok());
    Upstream {
        are_of_the_host: overrides.servers.is_empty(),
        servers: conf.servers,
        keeps_single_labels: ndots.is_some_and(|ndots| ndots > 0),
    }
}

fn merge(mut conf: ResolvConf, overrides: &Overrides) -> ResolvConf {
    if !overrides.servers.is_empty() {
        conf.servers.clone_from(&overrides.servers);
    }
    if !overrides.search.is_empty() {
        conf.search = overrides.search.iter().filter(|domain| *domain != ".").cloned().collect();
    }
    if !overrides.options.is_empty() {
        conf.options.clone_from(&overrides.options);
    }
    conf
}

/// Reads the file by resolv.conf(5)'s rules: the last `search` or `domain` counts, options add up.
fn parse(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines() {
        // Only whole lines are comments; `options debug # x` is not.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => conf.servers.extend(words.next().map(str::to_owned)),
            Some("search" | "domain") => conf.search = words.map(str::to_owned).collect(),
            Some("options") => conf.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    conf
}

fn print(conf: &ResolvConf) -> String {
    let mut text = String::new();
    for server in &conf.servers {
        text.push_str("nameserver ");
        text.push_str(server);
        text.push('\n');
    }
    for (word, values) in [("search", &conf.search), ("options", &conf.options)] {
        if !values.is_empty() {
            text.push_str(word);
            text.push(' ');
            text.push_str(&values.join(" "));
            text.push('\n');
        }
    }
    text
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or(server);
    address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host_file: &str, overrides: &Overrides, expected: &str) {
        assert_eq!(text(host_file, overrides), expected, "{host_file:?}");
    }

    #[test]
    fn loopback_servers_are_left_out() {
        let none = Overrides::default();
        check("nameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch a b\n", &none, "nameserver 10.0.0.1\nsearch a b\n");
        check("nameserver ::1%lo\n", &none, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("", &none, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }

    #[test]
    fn what_the_user_gives_replaces_its_part_only() {
        let overrides = Overrides { servers: vec!["127.0.0.1".into()], search: vec![".".into()], options: vec![] };
        check(
            "nameserver 10.0.0.1\nsearch a\noptions ndots:2\n",
            &overrides,
            "nameserver 127.0.0.1\noptions ndots:2\n",
        );
    }

    #[test]
    fn containers_with_names_ask_the_engine() {
        let file = "nameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch a\noptions edns0\n";
        let none = Overrides::default();
        assert_eq!(text_of_names(file, &none), "nameserver 127.0.0.11\nsearch a\noptions edns0 ndots:0\n");
        let seen = upstream(file, &none);
        assert_eq!(seen.servers, ["127.0.0.53", "10.0.0.1"]);
        assert!(seen.are_of_the_host && !seen.keeps_single_labels);
        let own = Overrides { options: vec!["ndots:2".into()], servers: vec!["1.1.1.1".into()], search: vec![] };
        assert_eq!(text_of_names(file, &own), "nameserver 127.0.0.11\nsearch a\noptions ndots:2\n");
        let servers = vec!["1.1.1.1".to_owned()];
        assert_eq!(upstream(file, &own), Upstream { servers, are_of_the_host: false, keeps_single_labels: true });
    }

    #[test]
    fn the_last_search_counts_and_options_add_up() {
        let file = "# nameserver 1.1.1.1\ndomain x\nsearch a b\noptions a\noptions b\nnameserver 1.2.3.4 ignored\n";
        check(file, &Overrides::default(), "nameserver 1.2.3.4\nsearch a b\noptions a b\n");
    }

    #[test]
    fn the_hosts_file_goes_in_unchanged() {
        let file = "# mine\nnameserver 127.0.0.53\n";
        assert_eq!(text_of_host(file, &Overrides::default()), file);
        let overrides = Overrides { options: vec!["ndots:1".into()], ..Overrides::default() };
        assert_eq!(text_of_host(file, &overrides), "nameserver 127.0.0.53\noptions ndots:1\n");
    }
}
