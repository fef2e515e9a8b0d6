//! `ctr namespaces`.

use corten_proto::containerd::services::namespaces::v1 as wire;

use crate::session::{Failure, Outcome, Session, api, label_mask, labels, log_error, sentence, show_labels};
use crate::table;

/// Makes a namespace.
pub async fn create(session: &Session) -> Outcome {
    let name = session.first("please specify a namespace")?;
    let labels = labels(&session.words()[1..]);
    let namespace = wire::Namespace { name, labels: labels.into_iter().collect() };
    let request = wire::CreateNamespaceRequest { namespace: Some(namespace) };
    session.client.namespaces().create(request).await.map_err(api)?;
    Ok(())
}

/// Lists namespaces.
pub async fn list(session: &Session) -> Outcome {
    let request = wire::ListNamespacesRequest::default();
    let all = session.client.namespaces().list(request).await.map_err(api)?.into_inner().namespaces;
    if session.is_set("quiet") {
        all.iter().for_each(|namespace| println!("{}", namespace.name));
        return Ok(());
    }
    let mut lines = String::from("NAME\tLABELS\t\n");
    for namespace in all {
        lines.push_str(&format!("{}\t{}\t\n", namespace.name, show_labels(&namespace.labels)));
    }
    table::print(&lines, table::TIGHT);
    Ok(())
}

/// Removes namespaces that are empty.
pub async fn remove(session: &Session) -> Outcome {
    if session.is_set("cgroup") {
        return Err(sentence("namespaces remove --cgroup: not supported yet"));
    }
    let mut failure = None;
    for name in session.words() {
        let request = wire::DeleteNamespaceRequest { name: name.clone() };
        match session.client.namespaces().delete(request).await.map_err(api) {
            Ok(_) => println!("{name}"),
            Err(error) => {
                log_error(format!("unable to delete {name}"), &error);
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err::<(), Failure>)
}

/// Sets and clears labels.
pub async fn label(session: &Session) -> Outcome {
    let name = session.first("please specify a namespace")?;
    let labels = labels(&session.words()[1..]);
    let request = wire::UpdateNamespaceRequest {
        update_mask: Some(label_mask(&labels)),
        namespace: Some(wire::Namespace { name, labels: labels.into_iter().collect() }),
    };
    session.client.namespaces().update(request).await.map_err(api)?;
    Ok(())
}
