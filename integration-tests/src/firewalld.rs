//! firewalld on a message bus of the test's own.

use std::{path::Path, process::Command};

use corten_dbus::{Call, Connection, Value};

use crate::{Daemon, TempRoot, programs, send_signal};

const NAME: &str = "org.fedoraproject.FirewallD1";

/// A bus, and firewalld on it in the network namespace of the thread that started them.
#[derive(Debug)]
pub struct Firewalld {
    address: String,
    daemon: Daemon,
    bus: Daemon,
}

impl Firewalld {
    /// Starts both, the bus at `socket`.
    ///
    /// # Panics
    /// When they do not come up.
    #[must_use]
    pub fn start(root: &TempRoot, socket: &Path) -> Firewalld {
        let directory = root.make("firewalld");
        let address = format!("unix:path={}", socket.display());
        let configuration = directory.join("bus.conf");
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\
             <busconfig><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>\
             </policy></busconfig>"
        );
        std::fs::write(&configuration, text).expect("the root is writable");
        let mut command = Command::new(programs::original("dbus-daemon"));
        command.arg("--nofork").arg("--config-file").arg(configuration);
        let mut bus = Daemon::spawn(root, &mut command, &directory.join("bus.log"));
        bus.wait_until_ready("a message bus", || Connection::open(&address).is_ok());
        let settings = directory.join("etc");
        for part in ["zones", "policies", "services", "ipsets", "helpers", "icmptypes"] {
            std::fs::create_dir_all(settings.join(part)).expect("the root is writable");
        }
        let mut command = Command::new(programs::original("firewalld"));
        command.args(["--nofork", "--nopid", "--log-target", "console", "--system-config"]).arg(settings);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &address);
        let mut daemon = Daemon::spawn(root, &mut command, &directory.join("firewalld.log"));
        let mut asked = Connection::open(&address).expect("the bus lets us in");
        daemon.wait_until_ready("firewalld on its bus", || asked.has_owner(NAME).expect("the bus answers"));
        Firewalld { address, daemon, bus }
    }

    /// Where the bus is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it answers.
    ///
    /// # Panics
    /// When it refuses.
    #[must_use]
    pub fn ask(&self, interface: &str, member: &str, body: &[Value]) -> Value {
        self.try_ask(interface, member, body).expect("firewalld answers")
    }

    fn try_ask(&self, interface: &str, member: &str, body: &[Value]) -> corten_dbus::Result<Value> {
        let interface = format!("{NAME}{interface}");
        let call = Call { destination: NAME, path: "/org/fedoraproject/FirewallD1", interface: &interface, member };
        let answer = Connection::open(&self.address)?.call(&call, body)?;
        Ok(answer.into_iter().next().unwrap_or(Value::Boolean(true)))
    }

    /// Has it read its configuration anew.
    pub fn reload(&self) {
        let _ = self.ask("", "reload", &[]);
    }

    /// The interfaces in zone `docker`, in their order; none without that zone.
    #[must_use]
    pub fn zone(&self) -> Vec<String> {
        let answer = self.try_ask(".zone", "getInterfaces", &[Value::string("docker")]);
        let interfaces = answer.as_ref().ok().and_then(Value::as_strings).unwrap_or_default();
        let mut interfaces: Vec<String> = interfaces.into_iter().map(str::to_owned).collect();
        interfaces.sort();
        interfaces
    }

    /// It answers nobody, until [`Firewalld::go_on`].
    pub fn hang(&self) {
        let _ = send_signal(self.daemon.pid(), "STOP");
    }

    /// It answers again.
    pub fn go_on(&self) {
        let _ = send_signal(self.daemon.pid(), "CONT");
    }

    /// Both are killed.
    pub fn kill(mut self) {
        self.bus.kill();
        self.daemon.kill();
    }
}
