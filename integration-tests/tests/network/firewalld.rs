//! Beside firewalld, on a message bus of the test's own: it is told of the bridges, and again when it has forgotten them.

use std::process::Command;

use corten_dbus::{Call, Connection, Value};
use corten_network::{Kernel, plan::Settings};
use integration_tests::{DEADLINE, Daemon, TempRoot, in_own_network, programs, sh, wait_for};

use crate::{
    firewalls::{HOST, WORLD, judge},
    host::{Host, SERVED, ask_from, assert_closed_from, bridge_network, settings},
};

const NAME: &str = "org.fedoraproject.FirewallD1";

/// A bus, and firewalld on it in the network namespace of the thread that started them.
struct Firewalld {
    address: String,
    _daemon: Daemon,
    _bus: Daemon,
}

impl Firewalld {
    fn start(root: &TempRoot) -> Firewalld {
        let directory = root.make("firewalld");
        let socket = directory.join("bus");
        let address = format!("unix:path={}", socket.display());
        let configuration = directory.join("bus.conf");
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\
             <busconfig><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>\
             </policy></busconfig>"
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new(programs::original("dbus-daemon"));
        command.arg("--nofork").arg("--config-file").arg(configuration);
        let mut bus = Daemon::spawn(root, &mut command, &directory.join("bus.log"));
        bus.wait_for_socket(&socket);
        let settings = directory.join("etc");
        for part in ["zones", "policies", "services", "ipsets", "helpers", "icmptypes"] {
            std::fs::create_dir_all(settings.join(part)).unwrap();
        }
        let mut command = Command::new(programs::original("firewalld"));
        command.args(["--nofork", "--nopid", "--log-target", "console", "--system-config"]).arg(settings);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &address);
        let mut daemon = Daemon::spawn(root, &mut command, &directory.join("firewalld.log"));
        let mut asked = Connection::open(&address).unwrap();
        daemon.wait_until_ready("firewalld on its bus", || asked.has_owner(NAME).unwrap());
        Firewalld { address, _daemon: daemon, _bus: bus }
    }

    /// What it answers.
    fn ask(&self, interface: &str, member: &str, body: &[Value]) -> Value {
        let interface = format!("{NAME}{interface}");
        let call = Call { destination: NAME, path: "/org/fedoraproject/FirewallD1", interface: &interface, member };
        let answer = Connection::open(&self.address).unwrap().call(&call, body).unwrap();
        answer.into_iter().next().unwrap_or(Value::Boolean(true))
    }

    fn zone(&self) -> Vec<String> {
        let interfaces = self.ask(".zone", "getInterfaces", &[Value::string("docker")]);
        interfaces.as_strings().unwrap().into_iter().map(str::to_owned).collect()
    }

    fn settings(&self) -> Settings {
        Settings { system_bus: self.address.clone(), ..settings() }
    }
}

#[test]
fn firewalld_knows_the_bridges_also_after_it_was_read_anew() {
    in_own_network(|| {
        let root = TempRoot::new();
        let firewalld = Firewalld::start(&root);
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let mut host = Host::with(Kernel::open(firewalld.settings()).unwrap());
        let (container, world) = judge(&mut host);
        assert_eq!(firewalld.zone(), ["br-1"]);
        let policies = firewalld.ask(".policy", "getPolicies", &[]);
        assert!(policies.as_strings().unwrap().contains(&"docker-forwarding"), "{policies:?}");

        let mut watch = host.kernel.watch().unwrap();
        assert!(!watch.wait(Some(std::time::Duration::ZERO)).unwrap());
        firewalld.ask("", "reload", &[]);
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
        firewalld.ask(".zone", "changeZoneOfInterface", &[Value::string("trusted"), Value::string("br-1")]);
        assert_eq!(host.kernel.check(&host.desired).unwrap(), []);
        firewalld.ask(".zone", "changeZoneOfInterface", &[Value::string("docker"), Value::string("br-1")]);

        // The same bus is reached from other network namespaces, which this firewalld does not guard.
        in_own_network(|| {
            let stranger = Kernel::open(firewalld.settings()).unwrap();
            stranger.make_network(&bridge_network(7)).unwrap();
            assert_eq!(firewalld.zone(), ["br-1"]);
        });

        let network = host.desired.networks[0].clone();
        host.kernel.remove_network(&network).unwrap();
        wait_for("the bridge to be gone", DEADLINE, || !sh("ip link").contains("br-1"));
        assert_eq!(firewalld.zone(), [""; 0]);
    });
}
