//! What the daemon is made of. It has no plugins; the list answers what clients look for in it.

use std::{borrow::Cow, collections::HashMap, os::unix::fs::MetadataExt, sync::Arc};

use corten_containerd_api::containerd::services::introspection::v1::introspection_server::Introspection;
use corten_proto::{
    containerd::{
        services::introspection::v1::{
            Plugin, PluginInfoRequest, PluginInfoResponse, PluginsRequest, PluginsResponse, ServerResponse,
        },
        types::Platform,
    },
    google::rpc,
};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    Supervisor,
    error::{Error, Result as Done},
    filter::{Fields, Filter, non_empty},
};

/// The handlers.
#[derive(Debug)]
pub struct IntrospectionService(pub Arc<Supervisor>);

#[async_trait]
impl Introspection for IntrospectionService {
    async fn plugins(&self, request: Request<PluginsRequest>) -> Result<Response<PluginsResponse>, Status> {
        let filter = Filter::parse(&request.get_ref().filters)?;
        let mut plugins = plugins(&self.0);
        plugins.retain(|plugin| filter.accepts(plugin));
        Ok(Response::new(PluginsResponse { plugins }))
    }

    async fn server(&self, _: Request<()>) -> Result<Response<ServerResponse>, Status> {
        let uuid = self.0.metadata.read(uuid)?;
        let pidns = std::fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino());
        let pid = u64::from(std::process::id());
        Ok(Response::new(ServerResponse { uuid, pid, pidns, deprecations: Vec::new() }))
    }

    async fn plugin_info(&self, request: Request<PluginInfoRequest>) -> Result<Response<PluginInfoResponse>, Status> {
        let PluginInfoRequest { r#type, id, .. } = request.into_inner();
        let found = plugins(&self.0).into_iter().find(|plugin| plugin.r#type == r#type && plugin.id == id);
        let plugin = found.ok_or_else(|| Error::not_found(format!("plugin {type}.{id} not found", r#type = r#type)))?;
        Ok(Response::new(PluginInfoResponse { plugin: Some(plugin), extra: None }))
    }
}

/// Type and id of everything offered, as containerd calls it; the marked ones have platforms.
const OFFERED: [(&str, &str, bool); 29] = [
    ("io.containerd.content.v1", "content", false),
    ("io.containerd.snapshotter.v1", "overlayfs", true),
    ("io.containerd.metadata.v1", "bolt", false),
    ("io.containerd.differ.v1", "walking", true),
    ("io.containerd.event.v1", "exchange", false),
    ("io.containerd.gc.v1", "scheduler", false),
    ("io.containerd.lease.v1", "manager", false),
    ("io.containerd.runtime.v2", "task", true),
    ("io.containerd.runtime.v2", "shim", false),
    ("io.containerd.service.v1", "containers-service", false),
    ("io.containerd.service.v1", "content-service", false),
    ("io.containerd.service.v1", "diff-service", false),
    ("io.containerd.service.v1", "images-service", false),
    ("io.containerd.service.v1", "introspection-service", false),
    ("io.containerd.service.v1", "namespaces-service", false),
    ("io.containerd.service.v1", "snapshots-service", false),
    ("io.containerd.service.v1", "tasks-service", false),
    ("io.containerd.grpc.v1", "containers", false),
    ("io.containerd.grpc.v1", "content", false),
    ("io.containerd.grpc.v1", "events", false),
    ("io.containerd.grpc.v1", "healthcheck", false),
    ("io.containerd.grpc.v1", "images", false),
    ("io.containerd.grpc.v1", "introspection", false),
    ("io.containerd.grpc.v1", "snapshots", false),
    ("io.containerd.grpc.v1", "streaming", false),
    ("io.containerd.grpc.v1", "tasks", false),
    ("io.containerd.grpc.v1", "transfer", false),
    ("io.containerd.streaming.v1", "manager", false),
    ("io.containerd.transfer.v1", "local", false),
];

fn plugins(supervisor: &Supervisor) -> Vec<Plugin> {
    let plugins = OFFERED.iter().map(|&(kind, id, has_platform)| {
        let mut plugin = Plugin { r#type: kind.to_owned(), id: id.to_owned(), ..Plugin::default() };
        if has_platform {
            plugin.platforms.push(platform());
        }
        if id == "overlayfs" {
            let root = supervisor.snapshots.root().display().to_string();
            plugin.exports = HashMap::from([("root".to_owned(), root)]);
        }
        if kind == "io.containerd.transfer.v1" {
            // Tells our own engine that settings and errors in fields of our own are understood.
            let exports = [("corten", "1"), ("corten-pipe", "1"), ("corten-import", "1"), ("corten-save", "1")];
            plugin.exports = exports.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        }
        if id == "bolt"
            && let Some(aside) = supervisor.metadata.set_aside()
        {
            let message = format!("broken metadata was set aside as {}: {}", aside.path.display(), aside.reason);
            plugin.init_err = Some(rpc::Status { code: 15, message, ..rpc::Status::default() });
        }
        plugin
    });
    plugins.collect()
}

fn platform() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", "v8"),
        other => (other, ""),
    };
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.to_owned(),
        ..Platform::default()
    }
}

/// The name of this installation, made at first start.
fn uuid(connection: &rusqlite::Connection) -> Done<String> {
    Ok(connection.query_row("SELECT value FROM facts WHERE name = 'uuid'", [], |row| row.get(0))?)
}

impl Fields for Plugin {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["type"] => non_empty(&self.r#type),
            ["id"] => non_empty(&self.id),
            // Present when there are any, as containerd's adaptor has it; the values are not compared.
            ["platforms"] => (!self.platforms.is_empty()).then_some(Cow::Borrowed("")),
            ["capabilities"] => (!self.capabilities.is_empty()).then_some(Cow::Borrowed("")),
            _ => None,
        }
    }
}
