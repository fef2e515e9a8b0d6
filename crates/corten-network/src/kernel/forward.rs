//! Forwarding between interfaces, and the place of containers' traffic in firewalls made with iptables.
//!
//! A packet that iptables' FORWARD drops is gone whatever our rules say, and one it accepts passes ours afterwards. So the
//! bridges are accepted there, in a chain of their own after Docker's place for the administrator's rules; who may reach
//! whom is decided in our table alone. Without an iptables FORWARD that does anything, no program is started.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use corten_netlink::nft;

use super::{Kernel, Result, bridge::GROUP, refused, sysctl};
use crate::error::NetworkError;
use crate::plan::Difference;

const CHAIN: &str = "CORTEN-FORWARD";
const ADMINISTRATOR: &str = "DOCKER-USER";
const OBJECT: &str = "forwarding";

/// Switches forwarding on, and has iptables let the bridges' traffic pass.
pub fn prepare(kernel: &Kernel) -> Result<()> {
    let switched_on = is_off(kernel, PATH_V4);
    if switched_on {
        sysctl::set(OBJECT, PATH_V4, "1")?;
    }
    // Whoever had forwarding off did not expect to be a router for strangers.
    let closes = switched_on && !kernel.settings.ip_forward_no_drop;
    if kernel.settings.rules_v4 {
        pass(kernel, nft::Family::Ipv4, closes)?;
    }
    if kernel.settings.rules_v6 { pass(kernel, nft::Family::Ipv6, false) } else { Ok(()) }
}

/// Switches forwarding of IPv6 on.
pub fn enable_v6(kernel: &Kernel) -> Result<()> {
    if !is_off(kernel, PATH_V6) {
        return Ok(());
    }
    sysctl::set(OBJECT, PATH_V6, "1")?;
    if kernel.settings.rules_v6 { pass(kernel, nft::Family::Ipv6, !kernel.settings.ip_forward_no_drop) } else { Ok(()) }
}

/// What [`prepare`] would have to do.
pub fn check(kernel: &Kernel, with_v6: bool) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    let mut note = |what: String| differences.push(Difference { object: OBJECT.to_owned(), what, is_left_over: false });
    if is_off(kernel, PATH_V4) {
        note(format!("/proc/sys/{PATH_V4} is 0"));
    }
    if with_v6 && is_off(kernel, PATH_V6) {
        note(format!("/proc/sys/{PATH_V6} is 0"));
    }
    let families = [(kernel.settings.rules_v4, nft::Family::Ipv4), (kernel.settings.rules_v6, nft::Family::Ipv6)];
    for (_, family) in families.into_iter().filter(|(rules, _)| *rules) {
        for programs in concerned(kernel, family, false)? {
            if !script(&list(&programs)?, false).is_empty() {
                note(format!("{} does not let the bridges' traffic pass", programs.list));
            }
        }
    }
    Ok(differences)
}

const PATH_V4: &str = "net/ipv4/ip_forward";
const PATH_V6: &str = "net/ipv6/conf/all/forwarding";

fn is_off(kernel: &Kernel, path: &str) -> bool {
    kernel.settings.ip_forward && sysctl::get(path).as_deref() == Some("0")
}

/// The programs of one kind of iptables.
struct Programs {
    list: &'static str,
    restore: &'static str,
}

fn pass(kernel: &Kernel, family: nft::Family, closes: bool) -> Result<()> {
    concerned(kernel, family, closes)?.iter().try_for_each(|programs| insert(programs, closes))
}

/// The kinds of iptables that decide what is forwarded, or are to. Where the programs are not installed nobody uses them.
fn concerned(kernel: &Kernel, family: nft::Family, closes: bool) -> Result<Vec<Programs>> {
    let six = family == nft::Family::Ipv6;
    let (legacy, current) = if six {
        (("ip6tables-legacy", "ip6tables-legacy-restore"), ("ip6tables-nft", "ip6tables-nft-restore"))
    } else {
        (("iptables-legacy", "iptables-legacy-restore"), ("iptables-nft", "iptables-nft-restore"))
    };
    let mut found = Vec::new();
    if legacy_filters(six) {
        found.push(legacy);
    }
    if closes || filters(kernel, family)? {
        found.push(current);
    }
    let programs = found.into_iter().map(|(list, restore)| Programs { list, restore });
    Ok(programs.filter(|programs| is_installed(programs.restore)).collect())
}

/// Whether iptables' older half has a table of filters.
fn legacy_filters(six: bool) -> bool {
    // Of this thread: `/proc/net` is the first thread's.
    let names = if six { "/proc/thread-self/net/ip6_tables_names" } else { "/proc/thread-self/net/ip_tables_names" };
    fs::read_to_string(names).is_ok_and(|names| names.lines().any(|name| name == "filter"))
}

/// Whether iptables' newer half has a chain FORWARD that does anything.
fn filters(kernel: &Kernel, family: nft::Family) -> Result<bool> {
    let table = nft::Table { family, name: "filter".into() };
    let chains = nft::dump::chains(&mut kernel.filter_socket(), &table).map_err(refused(OBJECT))?;
    Ok(chains.iter().any(|chain| chain.name == "FORWARD" && (chain.drops || chain.uses > 0)))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

fn insert(programs: &Programs, closes: bool) -> Result<()> {
    let wanted = script(&list(programs)?, closes);
    if wanted.is_empty() {
        return Ok(());
    }
    run(Command::new(programs.restore).args(["-w", "--noflush"]), &wanted).map(drop)
}

fn list(programs: &Programs) -> Result<String> {
    run(Command::new(programs.list).args(["-w", "-S"]), "")
}

/// What iptables-restore is told; nothing when all is there. `present` is what `iptables -S` prints.
fn script(present: &str, closes: bool) -> String {
    let accepted = [
        format!("-A {CHAIN} -m devgroup --src-group {GROUP:#x} -j ACCEPT"),
        format!("-A {CHAIN} -m devgroup --dst-group {GROUP:#x} -j ACCEPT"),
    ];
    let forward: Vec<&str> = present.lines().filter(|line| line.starts_with("-A FORWARD ")).collect();
    let jump = format!("-A FORWARD -j {CHAIN}");
    let administrator = forward.iter().position(|line| *line == format!("-A FORWARD -j {ADMINISTRATOR}"));
    let place = administrator.map_or(0, |place| place + 1);
    let in_place = forward.get(place).is_some_and(|line| *line == jump);
    let ours: Vec<&str> = present.lines().filter(|line| line.starts_with(&format!("-A {CHAIN} "))).collect();
    if in_place && ours == accepted && !closes {
        return String::new();
    }
    let mut lines = vec!["*filter".to_owned()];
    if closes {
        lines.push(":FORWARD DROP [0:0]".to_owned());
    }
    // A chain that is declared is emptied.
    lines.push(format!(":{CHAIN} - [0:0]"));
    lines.extend(accepted);
    if !in_place {
        let old = forward.iter().filter(|line| **line == jump).map(|_| format!("-D FORWARD -j {CHAIN}"));
        lines.extend(old);
        // Rules of ours before the administrator's jump are gone by then.
        let gone = forward[..place].iter().filter(|line| **line == jump).count();
        lines.push(format!("-I FORWARD {} -j {CHAIN}", place - gone + 1));
    }
    lines.push("COMMIT\n".to_owned());
    lines.join("\n")
}

fn run(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |complaint: String| NetworkError::Program { program: program.clone(), complaint };
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_chain_comes_after_the_administrators_and_once() {
        let fresh = "-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j ufw-before-forward\n";
        let told = script(fresh, false);
        assert!(told.contains("-I FORWARD 2 -j CORTEN-FORWARD"), "{told}");
        assert!(!told.contains("DROP") && !told.contains("-D FORWARD"), "{told}");
        let misplaced = "-A FORWARD -j CORTEN-FORWARD\n-A FORWARD -j DOCKER-USER\n";
        let told = script(misplaced, false);
        assert!(told.contains("-D FORWARD -j CORTEN-FORWARD\n-I FORWARD 2 -j CORTEN-FORWARD"), "{told}");
        let done = format!(
            "-A FORWARD -j DOCKER-USER\n-A FORWARD -j {CHAIN}\n-A {CHAIN} -m devgroup --src-group {GROUP:#x} -j ACCEPT\n\
             -A {CHAIN} -m devgroup --dst-group {GROUP:#x} -j ACCEPT\n"
        );
        assert_eq!(script(&done, false), "");
        assert!(script(&done, true).contains(":FORWARD DROP"));
    }
}
