//! Beside firewalld, on a message bus of the test's own: it is told of the bridges, and again when it has forgotten them.

use corten_dbus::Value;
use corten_network::{Kernel, plan::Settings};
use integration_tests::{DEADLINE, Firewalld, TempRoot, in_own_network, sh, wait_for};

use crate::{
    firewalls::{HOST, WORLD, judge},
    host::{Host, SERVED, ask_from, assert_closed_from, bridge_network, settings},
};

#[test]
fn firewalld_knows_the_bridges_also_after_it_was_read_anew() {
    in_own_network(|| {
        let root = TempRoot::new();
        let firewalld = Firewalld::start(&root, &root.path().join("bus"));
        let settings = Settings { system_bus: firewalld.address().to_owned(), ..settings() };
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let mut host = Host::with(Kernel::open(settings.clone()).unwrap());
        let (container, world) = judge(&mut host);
        assert_eq!(firewalld.zone(), ["br-1"]);
        let policies = firewalld.ask(".policy", "getPolicies", &[]);
        assert!(policies.as_strings().unwrap().contains(&"docker-forwarding"), "{policies:?}");

        let mut watch = host.kernel.watch().unwrap();
        assert!(!watch.wait(Some(std::time::Duration::ZERO)).unwrap());
        firewalld.reload();
        assert_eq!(firewalld.zone(), [""; 0]);
        // It guards indeed.
        assert_closed_from(&container, (WORLD, SERVED));
        assert!(watch.wait(Some(DEADLINE)).unwrap(), "a reload is not heard of");
        let found: Vec<String> =
            host.kernel.check(&host.desired).unwrap().into_iter().map(|difference| difference.what).collect();
        assert_eq!(found, ["zone docker lacks the interface br-1"]);
        host.kernel.repair(&host.desired).unwrap();
        assert_eq!(ask_from(&container, (WORLD, SERVED)), HOST);
        assert_eq!(ask_from(&world, (HOST, 8081)), WORLD);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);

        // An administrator's choice of another zone stands.
        let _ = firewalld.ask(".zone", "changeZoneOfInterface", &[Value::string("trusted"), Value::string("br-1")]);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        let _ = firewalld.ask(".zone", "changeZoneOfInterface", &[Value::string("docker"), Value::string("br-1")]);

        // The same bus is reached from other network namespaces, which this firewalld does not guard.
        in_own_network(|| {
            let stranger = Kernel::open(settings.clone()).unwrap();
            stranger.make_network(&bridge_network(7)).unwrap();
            assert_eq!(firewalld.zone(), ["br-1"]);
        });

        let network = host.desired.networks[0].clone();
        host.kernel.remove_network(&network).unwrap();
        wait_for("the bridge to be gone", DEADLINE, || !sh("ip link").contains("br-1"));
        assert_eq!(firewalld.zone(), [""; 0]);
    });
}
