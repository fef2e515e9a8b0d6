//! `update`: other limits for containers, running ones too.

use crate::arguments::Matches;
use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::flags::Flag;
use crate::request::{limits, restart_policy};
use crate::tree::{Arity, Verb, verb};
use corten_docker_api::client::{Method, Payload, encode_segment};
use corten_docker_api::containers::{ContainerUpdate, ContainerUpdated};

/// The command.
pub const VERB: Verb = verb!(
    update,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Change the limits of containers, running ones too",
    Arity::AtLeast(1),
    FLAGS
);

const FLAGS: &[Flag] = &[
    Flag::int("blkio-weight", "Share of block device time, 10 to 1000").kind("uint16").check(limits::check_uint16),
    Flag::int("cpu-period", "Length of a scheduler period in microseconds"),
    Flag::int("cpu-quota", "Processor time in a period in microseconds"),
    Flag::int("cpu-rt-period", "Length of a real-time period in microseconds"),
    Flag::int("cpu-rt-runtime", "Real-time processor time in a period in microseconds"),
    Flag::int("cpu-shares", "Weight for processor time").short('c'),
    Flag::text("cpus", "Number of processors, such as 1.5").kind("decimal").check(limits::check_cpus),
    Flag::text("cpuset-cpus", "Processors to run on (0-3, 0,1)"),
    Flag::text("cpuset-mems", "Memory nodes to use (0-3, 0,1)"),
    Flag::bytes("memory", "Limit memory").short('m'),
    Flag::bytes("memory-reservation", "Memory that is kept under pressure"),
    Flag::bytes("memory-swap", "Limit memory and swap together (-1 for no limit)").check(limits::check_swap),
    Flag::int("pids-limit", "Limit the number of processes (-1 for no limit)"),
    Flag::text("restart", "When to restart: no, on-failure[:N], always, unless-stopped"),
];

/// Updates containers.
pub async fn update(cli: &Cli, matches: &Matches) -> Outcome {
    if !FLAGS.iter().any(|flag| matches.is_given(flag.name)) {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let body = body(matches).map_err(Failure::new)?;
    let bytes =
        corten_docker_api::json::encode(&body).map_err(|error| Failure::new(format!("write the update: {error}")))?;
    let (mut warnings, mut failures) = (Vec::new(), Vec::new());
    for name in &matches.arguments {
        let target = format!("/containers/{}/update", encode_segment(name));
        let answer = match cli.client.send(Method::POST, &target, Payload::Json(bytes.clone())).await {
            Ok(response) => response.json::<ContainerUpdated>().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(updated) => {
                cli.print_line(name);
                warnings.extend(updated.warnings.unwrap_or_default());
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !warnings.is_empty() {
        cli.print_line(&warnings.join("\n"));
    }
    crate::failure::join(failures)
}

fn body(matches: &Matches) -> Result<ContainerUpdate, String> {
    let policy = matches.text("restart");
    let pids = matches.int("pids-limit");
    Ok(ContainerUpdate {
        cpu_shares: matches.int("cpu-shares"),
        memory: matches.bytes("memory"),
        nano_cpus: if matches.is_given("cpus") { limits::parse_cpus(matches.text("cpus"))? } else { 0 },
        blkio_weight: u16::try_from(matches.int("blkio-weight")).unwrap_or(0),
        cpu_period: matches.int("cpu-period"),
        cpu_quota: matches.int("cpu-quota"),
        cpu_realtime_period: matches.int("cpu-rt-period"),
        cpu_realtime_runtime: matches.int("cpu-rt-runtime"),
        cpuset_cpus: matches.text("cpuset-cpus").to_owned(),
        cpuset_mems: matches.text("cpuset-mems").to_owned(),
        memory_reservation: matches.bytes("memory-reservation"),
        memory_swap: matches.bytes("memory-swap"),
        pids_limit: (pids != 0).then_some(pids),
        restart_policy: if policy.is_empty() { Default::default() } else { restart_policy(policy)? },
    })
}
