//! `ctr leases`.

use std::time::SystemTime;

use corten_containerd_api::{parse_timestamp, rfc3339};
use corten_proto::containerd::services::leases::v1 as wire;

use crate::session::{Outcome, Session, api, duration, labels, sentence, show_labels};
use crate::table;

/// Label after whose time a lease no longer counts.
const EXPIRE: &str = "containerd.io/gc.expire";

/// RFC 3339 in whole seconds, in UTC.
fn seconds(time: SystemTime) -> String {
    let text = rfc3339(time);
    text.split(['.', 'Z']).next().unwrap_or_default().to_owned() + "Z"
}

/// Lists leases.
pub async fn list(session: &Session) -> Outcome {
    let request = wire::ListRequest { filters: session.words() };
    let leases = session.client.leases().list(request).await.map_err(api)?.into_inner().leases;
    if session.is_set("quiet") {
        leases.iter().for_each(|lease| println!("{}", lease.id));
        return Ok(());
    }
    let mut lines = String::from("ID\tCREATED AT\tLABELS\t\n");
    for lease in leases {
        let labels = if lease.labels.is_empty() { "-".to_owned() } else { show_labels(&lease.labels) };
        let created = seconds(parse_timestamp(lease.created_at.as_ref()));
        lines.push_str(&format!("{}\t{created}\t{labels}\t\n", lease.id));
    }
    table::print(&lines, table::TIGHT);
    Ok(())
}

/// Makes a lease.
pub async fn create(session: &Session) -> Outcome {
    let mut labels = labels(&session.words());
    let lifetime = duration(session.value("expires"))?;
    if !lifetime.is_zero() {
        labels.insert(EXPIRE.to_owned(), seconds(SystemTime::now() + lifetime));
    }
    let mut id = session.value("id").to_owned();
    if id.is_empty() {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| sentence(error.to_string()))?;
        id = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let request = wire::CreateRequest { id, labels: labels.into_iter().collect() };
    let lease = session.client.leases().create(request).await.map_err(api)?.into_inner().lease.unwrap_or_default();
    println!("{}", lease.id);
    Ok(())
}

/// Removes leases; with `--sync` what only the last of them kept is gone when this returns.
pub async fn delete(session: &Session) -> Outcome {
    let ids = session.words();
    if ids.is_empty() {
        return Err(sentence("no leases specified"));
    }
    for (index, id) in ids.iter().enumerate() {
        let sync = session.is_set("sync") && index + 1 == ids.len();
        session.client.leases().delete(wire::DeleteRequest { id: id.clone(), sync }).await.map_err(api)?;
        println!("{id}");
    }
    Ok(())
}
