//! Every call of the Engine API that is served, in one table.
//!
//! A handler decodes its request, makes one call, and encodes the answer. Anything else is not here.

mod archives;
mod containers;
mod execs;
mod images;
mod later;
mod matching;
mod networks;
mod registry;
mod streams;
mod swarm;
mod system;
mod volumes;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use crate::engine::Engine;
use crate::errors::Result;
use crate::http::{Answer, Request};

/// What a handler returns.
pub type Handled = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// One call.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path: `{id}` is one segment, `{name...}` one or more (image names have slashes).
    pub pattern: &'static str,
    /// What serves it.
    pub handler: fn(Arc<Engine>, Request) -> Handled,
}

impl Route {
    /// Whether its answer depends on what containers do.
    pub fn is_about_containers(&self) -> bool {
        ["/containers/", "/exec/"].iter().any(|start| self.pattern.starts_with(start))
    }
}

macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:path,)*) => {
        &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            handler: |engine, request| Box::pin($handler(engine, request)),
        },)*]
    };
}

/// The table. The first match wins, so fixed segments stand before names.
pub const ROUTES: &[Route] = routes! {
    HEAD "/_ping" => system::ping_head,
    GET "/_ping" => system::ping,
    GET "/version" => system::version,
    GET "/info" => system::info,
    GET "/events" => system::events,

    POST "/containers/{id}/attach" => streams::attach,
    GET "/containers/{id}/logs" => streams::logs,
    GET "/containers/{id}/stats" => streams::stats,
    GET "/containers/{id}/top" => streams::top,
    GET "/containers/json" => containers::list,
    POST "/containers/create" => containers::create,
    POST "/containers/prune" => containers::prune,
    GET "/containers/{id}/json" => containers::inspect,
    POST "/containers/{id}/start" => containers::start,
    POST "/containers/{id}/stop" => containers::stop,
    POST "/containers/{id}/restart" => containers::restart,
    POST "/containers/{id}/kill" => containers::kill,
    POST "/containers/{id}/pause" => containers::pause,
    POST "/containers/{id}/unpause" => containers::unpause,
    POST "/containers/{id}/rename" => containers::rename,
    POST "/containers/{id}/resize" => containers::resize,
    POST "/containers/{id}/update" => containers::update,
    POST "/containers/{id}/wait" => containers::wait,
    DELETE "/containers/{id}" => containers::delete,

    POST "/containers/{id}/exec" => execs::create,
    POST "/exec/{id}/start" => execs::start,
    POST "/exec/{id}/resize" => execs::resize,
    GET "/exec/{id}/json" => execs::inspect,

    GET "/containers/{id}/attach/ws" => later::attach_websocket,
    HEAD "/containers/{id}/archive" => archives::stat,
    GET "/containers/{id}/archive" => archives::get,
    PUT "/containers/{id}/archive" => archives::put,
    GET "/containers/{id}/changes" => archives::changes,
    GET "/containers/{id}/export" => archives::export,
    GET "/containers/{id}/checkpoints" => later::checkpoint,
    POST "/containers/{id}/checkpoints" => later::checkpoint,
    DELETE "/containers/{id}/checkpoints/{name}" => later::checkpoint,

    GET "/images/json" => images::list,
    POST "/images/load" => images::load,
    POST "/images/create" => images::create,
    POST "/images/prune" => images::prune,
    GET "/images/search" => registry::search,
    GET "/images/get" => images::save_several,
    GET "/images/{name...}/json" => images::inspect,
    GET "/images/{name...}/history" => images::history,
    GET "/images/{name...}/get" => images::save,
    POST "/images/{name...}/tag" => images::tag,
    POST "/images/{name...}/push" => images::push,
    DELETE "/images/{name...}" => images::delete,
    GET "/distribution/{name...}/json" => registry::distribution,
    POST "/commit" => archives::commit,
    POST "/build" => later::build,
    POST "/build/prune" => later::build_prune,
    POST "/auth" => registry::auth,
    GET "/system/df" => system::disk_usage,

    GET "/networks" => networks::list,
    GET "/networks/" => networks::list,
    GET "/networks/{id}" => networks::inspect,
    DELETE "/networks/{id}" => networks::delete,
    POST "/networks/create" => networks::create,
    POST "/networks/prune" => networks::prune,
    POST "/networks/{id}/connect" => networks::connect,
    POST "/networks/{id}/disconnect" => networks::disconnect,
    POST "/corten/networks/check" => networks::check,
    GET "/volumes" => volumes::list,
    GET "/volumes/{name}" => volumes::inspect,
    POST "/volumes/create" => volumes::create,
    POST "/volumes/prune" => volumes::prune,
    GET "/plugins" => swarm::plugins,
    GET "/plugins/{name...}/json" => swarm::plugin,

    POST "/swarm/init" => swarm::not_supported,
    POST "/swarm/join" => swarm::not_supported,
    POST "/swarm/leave" => swarm::leave,
    GET "/swarm" => swarm::unavailable,
    GET "/swarm/{rest...}" => swarm::unavailable,
    GET "/services" => swarm::unavailable,
    GET "/services/{rest...}" => swarm::unavailable,
    POST "/services/{rest...}" => swarm::unavailable,
    GET "/tasks" => swarm::unavailable,
    GET "/tasks/{rest...}" => swarm::unavailable,
    GET "/nodes" => swarm::unavailable,
    GET "/nodes/{rest...}" => swarm::unavailable,
    GET "/secrets" => swarm::unavailable,
    GET "/secrets/{rest...}" => swarm::unavailable,
    POST "/secrets/{rest...}" => swarm::unavailable,
    GET "/configs" => swarm::unavailable,
    GET "/configs/{rest...}" => swarm::unavailable,
    POST "/configs/{rest...}" => swarm::unavailable,
};

/// The route of a call, with the variable parts of its path.
pub fn find(method: &Method, path: &str) -> Option<(&'static Route, Vec<(&'static str, String)>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == *method)
        .find_map(|route| matching::captures(route.pattern, path).map(|params| (route, params)))
}
