//! The host's `ps`, asked about one container's processes.

use corten_docker_api::containers::Top;

/// What `ps` is asked for when the client does not say.
pub const DEFAULT_ARGUMENTS: &str = "-ef";

/// Why the arguments or the output of `ps` are of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsError {
    /// A column other than the process id is given the title `PID…`: the filter would go by it.
    #[error("specifying \"{column}={title}\" is not allowed")]
    DisguisedColumn {
        /// The column.
        column: String,
        /// The title it was to have.
        title: String,
    },
    /// The output does not show process ids.
    #[error("Couldn't find PID field in ps output")]
    NoPidColumn,
    /// The column of process ids holds something else.
    #[error("Unexpected pid '{0}': it is no number")]
    NotAPid(String),
}

/// Refuses arguments that would show another column under the title of the process id.
///
/// # Errors
/// [`PsError::DisguisedColumn`].
pub fn check_arguments(arguments: &str) -> Result<(), PsError> {
    // `-o name= PID` is the same to ps as `-o name=PID`, so the title may stand in the next word.
    let words: Vec<&str> = split_ascii(arguments).collect();
    for (index, word) in words.iter().enumerate() {
        let Some((column, title)) = word.rsplit_once('=') else { continue };
        let title = if title.is_empty() { words.get(index + 1).copied().unwrap_or("") } else { title };
        let column = column.rsplit([',', '=']).next().unwrap_or(column).trim_start_matches("-o");
        if title.starts_with("PID") && column != "pid" {
            return Err(PsError::DisguisedColumn { column: column.to_owned(), title: title.to_owned() });
        }
    }
    Ok(())
}

/// The words of a command line for `ps`: the client's, then the processes asked for.
///
/// With `-q` ps reads only those processes. Some options (`f`) refuse `-q`, so the caller tries
/// again without it; [`parse`] filters in both cases.
pub fn command_line(arguments: &str, pids: Option<&[u32]>) -> Vec<String> {
    let arguments = if arguments.is_empty() { DEFAULT_ARGUMENTS } else { arguments };
    let mut words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    if let Some(pids) = pids {
        let list: Vec<String> = pids.iter().map(u32::to_string).collect();
        words.push(format!("-q{}", list.join(",")));
    }
    words
}

/// The rows of `output` that belong to `pids`, with its titles.
///
/// A row whose process id is `-` is a thread (option `m`) of the process above it.
///
/// # Errors
/// [`PsError::NoPidColumn`] and [`PsError::NotAPid`].
pub fn parse(output: &str, pids: &[u32]) -> Result<Top, PsError> {
    let mut lines = output.lines();
    let titles: Vec<String> = split_ascii(lines.next().unwrap_or_default()).map(str::to_owned).collect();
    let pid_column = titles.iter().position(|title| title == "PID").ok_or(PsError::NoPidColumn)?;

    let mut processes = Vec::new();
    let mut is_inside = false;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = split_ascii(line).collect();
        let Some(pid) = fields.get(pid_column) else { continue };
        if *pid != "-" {
            let pid: u32 = pid.parse().map_err(|_| PsError::NotAPid((*pid).to_owned()))?;
            is_inside = pids.contains(&pid);
        }
        if is_inside {
            processes.push(row(&fields, titles.len()));
        }
    }
    Ok(Top { processes: (!processes.is_empty()).then_some(processes), titles: Some(titles) })
}

/// One field a title: what is left over belongs to the last column, the command.
fn row(fields: &[&str], columns: usize) -> Vec<String> {
    let (head, rest) = fields.split_at(fields.len().min(columns - 1));
    head.iter().map(|field| (*field).to_owned()).chain([rest.join(" ")]).collect()
}

/// Words between ASCII white space only: a process may have named itself with other kinds of it.
fn split_ascii(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\t', '\n', '\x0c', '\r', ' ']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 08:00 ?        00:00:01 /sbin/init splash
root         100       1  0 08:00 ?        00:00:00 sleep  60
root         101     100  0 08:00 ?        00:00:00 sh
";

    #[test]
    fn only_the_containers_rows_remain_and_the_command_is_one_field() {
        let top = parse(OUTPUT, &[100]).unwrap();
        assert_eq!(top.titles.unwrap(), ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        assert_eq!(top.processes.unwrap(), [["root", "100", "1", "0", "08:00", "?", "00:00:00", "sleep 60"]]);
    }

    #[test]
    fn threads_follow_their_process() {
        let output = "PID LWP CMD\n100 - a\n- 100 -\n- 102 -\n7 - b\n- 7 -\n";
        assert_eq!(parse(output, &[100]).unwrap().processes.unwrap().len(), 3);
    }

    #[test]
    fn output_without_ids_is_refused() {
        assert_eq!(parse("CMD\nsh\n", &[1]), Err(PsError::NoPidColumn));
        assert_eq!(parse("PID\nx\n", &[1]), Err(PsError::NotAPid("x".into())));
        assert_eq!(parse("", &[1]), Err(PsError::NoPidColumn));
    }

    #[test]
    fn no_other_column_may_pose_as_the_process_id() {
        for (arguments, is_allowed) in [
            ("-ef", true),
            ("aux -o pid=PID", true),
            ("-o pid,cmd", true),
            ("-o ruser=PID", false),
            ("-o ppid= PID", false),
            ("-oppid=PIDX", false),
            ("-o pid,ppid=PID", false),
        ] {
            assert_eq!(check_arguments(arguments).is_ok(), is_allowed, "{arguments}");
        }
    }

    #[test]
    fn the_processes_follow_the_clients_words() {
        assert_eq!(command_line("", Some(&[3, 4])), ["-ef", "-q3,4"]);
        assert_eq!(command_line("aux f", None), ["aux", "f"]);
    }
}
