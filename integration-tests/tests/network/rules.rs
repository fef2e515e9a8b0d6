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
        // The kernel has chosen the resolver's own ports.
        let ports = |line: &str| {
            let number = |word: &str| match word.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16).ok(),
                None => word.parse().ok(),
            };
            let word = |word| if number(word).is_some_and(|port| port > 1023) { "PORT" } else { word };
            line.split(' ').map(word).collect::<Vec<&str>>().join(" ") + "\n"
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
