//! The rules as an administrator sees them.

use integration_tests::sh;

use crate::host::{bridge, on_host};

/// Written anew with `CORTEN_REWRITE=1`.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/rules.txt");

#[test]
fn nft_shows_the_rules_that_were_recorded() {
    on_host(|host| {
        let open = host.network(1, |_| {});
        let closed = host.network(2, |network| {
            bridge(network).icc = false;
            bridge(network).trusted_interfaces.push("wan".to_owned());
            network.v4.as_mut().unwrap().leave_as = Some([203, 0, 113, 77].into());
        });
        host.network(3, |network| network.internal = true);
        let (one, two) = (host.container(&open, 2), host.container(&closed, 3));
        host.publish(&open, &one, "0.0.0.0:8081");
        host.publish(&closed, &two, "203.0.113.1:8082");
        host.kernel.resolver(&one.sandbox).unwrap();
        let resolver = crate::host::sh_in(&one.sandbox, "nft list ruleset");
        let ports = |line: &str| {
            let digits = line.split(' ').map(|word| match word.strip_prefix("127.0.0.11:") {
                Some("53") | None if !word.parse::<u16>().is_ok_and(|port| port != 53) => word.to_owned(),
                Some(_) => "127.0.0.11:PORT".to_owned(),
                None => "PORT".to_owned(),
            });
            digits.collect::<Vec<_>>().join(" ") + "\n"
        };
        let name = corten_network::plan::table(&host.kernel.settings().owner);
        let found =
            sh("nft list ruleset").replace(&name, "corten-OWNER").replace(&host.kernel.settings().owner, "OWNER");
        let found = found + &resolver.lines().map(ports).collect::<String>();
        if std::env::var_os("CORTEN_REWRITE").is_some() {
            std::fs::write(RECORDED, &found).unwrap();
        }
        let recorded = std::fs::read_to_string(RECORDED).unwrap();
        assert_eq!(found, recorded);
    });
}
