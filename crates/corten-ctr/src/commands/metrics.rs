//! `ctr tasks metrics`.

use corten_containerd_api::{parse_timestamp, rfc3339};
use corten_proto::any;
use corten_proto::containerd::services::tasks::v1::MetricsRequest;
use corten_proto::io::containerd::cgroups;

use super::containers::load;
use crate::session::{Outcome, Session, api, sentence};
use crate::table;

/// Prints one measurement of a task's cgroup.
pub async fn metrics(session: &Session) -> Outcome {
    let id = session.first("container id must be provided")?;
    if session.value("format") != "table" {
        return Err(sentence(format!("--format {}: not supported yet", session.value("format"))));
    }
    load(session, &id).await?;
    let request = MetricsRequest { filters: vec![format!("id=={id}")] };
    let answer = session.client.tasks().metrics(request).await.map_err(api)?.into_inner();
    let metric = answer.metrics.into_iter().next().ok_or_else(|| sentence("no metrics received"))?;
    let data = metric.data.unwrap_or_default();
    let time = rfc3339(parse_timestamp(metric.timestamp.as_ref())).replacen('T', " ", 1).replace('Z', " +0000 UTC");
    let mut lines = format!("ID\tTIMESTAMP\t\n{}\t{time}\t\n\nMETRIC\tVALUE\t\n", metric.id);
    let mut line = |key: &str, value: String| lines.push_str(&format!("{key}\t{value}\t\n"));
    if let Some(v1) = any::unpack::<cgroups::v1::Metrics>(&data)? {
        if let Some(memory) = v1.memory {
            if let Some(usage) = memory.usage {
                line("memory.usage_in_bytes", usage.usage.to_string());
                line("memory.limit_in_bytes", usage.limit.to_string());
            }
            line("memory.stat.cache", memory.total_cache.to_string());
        }
        if let Some(usage) = v1.cpu.and_then(|cpu| cpu.usage) {
            let each: Vec<String> = usage.per_cpu.iter().map(ToString::to_string).collect();
            line("cpuacct.usage", usage.total.to_string());
            line("cpuacct.usage_percpu", format!("[{}]", each.join(" ")));
        }
        if let Some(pids) = v1.pids {
            line("pids.current", pids.current.to_string());
            line("pids.limit", pids.limit.to_string());
        }
    } else if let Some(v2) = any::unpack::<cgroups::v2::Metrics>(&data)? {
        if let Some(pids) = v2.pids {
            line("pids.current", pids.current.to_string());
            line("pids.limit", pids.limit.to_string());
        }
        if let Some(cpu) = v2.cpu {
            line("cpu.usage_usec", cpu.usage_usec.to_string());
            line("cpu.user_usec", cpu.user_usec.to_string());
            line("cpu.system_usec", cpu.system_usec.to_string());
            line("cpu.nr_periods", cpu.nr_periods.to_string());
            line("cpu.nr_throttled", cpu.nr_throttled.to_string());
            line("cpu.throttled_usec", cpu.throttled_usec.to_string());
        }
        if let Some(memory) = v2.memory {
            line("memory.usage", memory.usage.to_string());
            line("memory.usage_limit", memory.usage_limit.to_string());
            line("memory.swap_usage", memory.swap_usage.to_string());
            line("memory.swap_limit", memory.swap_limit.to_string());
        }
    } else {
        return Err(sentence(format!("metrics of type {}: not supported yet", data.type_url)));
    }
    table::print(&lines, table::WIDE);
    Ok(())
}
