//! What an exec's process is: the container's own process with what the client changes.

use corten_docker_api::exec::ExecCreate;
use serde_json::{Map, Value, json};

use crate::spec::capabilities;
use crate::spec::user::ResolvedUser;

/// The process specification (runtime-spec config.md, "Process").
///
/// `container` is the `process` of the container's own specification: what an exec does not say
/// (rights, limits, environment) is the container's. `available` are the capabilities the engine can give.
pub fn build(
    container: &Value,
    config: &ExecCreate,
    user: Option<ResolvedUser>,
    console_size: Option<[u32; 2]>,
    available: u64,
) -> Value {
    let mut process: Map<String, Value> = container.as_object().cloned().unwrap_or_default();
    let had_terminal = process.get("terminal").and_then(Value::as_bool).unwrap_or(false);
    process.insert("args".to_owned(), json!(config.cmd.clone().unwrap_or_default()));
    process.insert("terminal".to_owned(), json!(config.tty));
    process.insert("env".to_owned(), json!(environment(process.get("env"), had_terminal, config)));
    if !config.working_dir.is_empty() {
        process.insert("cwd".to_owned(), json!(config.working_dir));
    }
    process.remove("consoleSize");
    if let (true, Some([height, width])) = (config.tty, console_size) {
        process.insert("consoleSize".to_owned(), json!({ "height": height, "width": width }));
    }
    if let Some(user) = user {
        process.insert("user".to_owned(), json!({ "uid": user.uid, "gid": user.gid, "additionalGids": user.groups }));
    }
    if config.privileged {
        let all = capabilities::names(available);
        process.insert("capabilities".to_owned(), json!({ "bounding": all, "permitted": all, "effective": all }));
    }
    Value::Object(process)
}

/// The container's variables under the exec's own; TERM goes with a terminal of its own.
fn environment(container: Option<&Value>, had_terminal: bool, config: &ExecCreate) -> Vec<String> {
    let mut variables: Vec<String> = container
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    match (had_terminal, config.tty) {
        (true, false) => variables.retain(|variable| variable != "TERM=xterm"),
        (false, true) if !variables.iter().any(|variable| variable.starts_with("TERM=")) => {
            variables.push("TERM=xterm".to_owned());
        }
        _ => {}
    }
    for variable in config.env.iter().flatten() {
        let name = variable.split('=').next().unwrap_or_default();
        variables.retain(|other| other.split('=').next() != Some(name));
        // A bare name takes the variable away.
        if variable.contains('=') {
            variables.push(variable.clone());
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(terminal: bool) -> Value {
        let mut env = vec!["PATH=/bin", "A=1"];
        if terminal {
            env.push("TERM=xterm");
        }
        json!({
            "terminal": terminal, "args": ["init"], "env": env, "cwd": "/work",
            "consoleSize": { "height": 1, "width": 2 },
            "user": { "uid": 1, "gid": 2 }, "capabilities": { "bounding": ["CAP_KILL"] },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 5, "soft": 5 }], "noNewPrivileges": true,
        })
    }

    fn config() -> ExecCreate {
        ExecCreate { cmd: Some(vec!["ls".into()]), ..ExecCreate::default() }
    }

    #[test]
    fn what_the_client_does_not_say_is_the_containers() {
        let process = build(&container(false), &config(), None, Some([24, 80]), 0);
        assert_eq!(process["args"], json!(["ls"]));
        assert_eq!(process["cwd"], json!("/work"));
        assert_eq!(process["env"], json!(["PATH=/bin", "A=1"]));
        assert_eq!(process["user"], json!({ "uid": 1, "gid": 2 }));
        assert_eq!(process["capabilities"], json!({ "bounding": ["CAP_KILL"] }));
        assert_eq!(process["noNewPrivileges"], json!(true));
        assert_eq!(process.get("consoleSize"), None);
    }

    #[test]
    fn the_clients_words_win() {
        let config = ExecCreate {
            env: Some(vec!["A=2".into(), "B=3".into(), "PATH".into()]),
            working_dir: "/tmp".into(),
            privileged: true,
            tty: true,
            ..config()
        };
        let user = ResolvedUser { uid: 5, gid: 6, groups: vec![7] };
        let process = build(&container(false), &config, Some(user), Some([24, 80]), 0b101);
        assert_eq!(process["env"], json!(["TERM=xterm", "A=2", "B=3"]));
        assert_eq!(process["cwd"], json!("/tmp"));
        assert_eq!(process["user"], json!({ "uid": 5, "gid": 6, "additionalGids": [7] }));
        assert_eq!(process["capabilities"]["effective"].as_array().map(Vec::len), Some(2));
        assert_eq!(process["consoleSize"], json!({ "height": 24, "width": 80 }));
    }

    #[test]
    fn a_terminal_is_announced_to_who_has_one() {
        let terms = |container_tty: bool, tty: bool| {
            let process = build(&container(container_tty), &ExecCreate { tty, ..config() }, None, None, 0);
            process["env"].as_array().into_iter().flatten().filter(|it| it.as_str() == Some("TERM=xterm")).count()
        };
        assert_eq!((terms(true, true), terms(true, false), terms(false, true), terms(false, false)), (1, 0, 1, 0));
    }
}
