//! Completion for bash, made from the same table that reads the command line: `packaging/completions/corten-runtime`.

use std::fmt::Write;

use crate::flags::Flag;
use crate::parse::{COMMANDS, GLOBAL};

/// The script.
#[must_use]
pub fn bash() -> String {
    let mut text = String::from(
        "# bash completion for corten-runtime; made from its table of flags, see corten-runtime-api/src/completion.rs\n\n\
         _corten_runtime() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i words\n\
         \tlocal root=/run/runc\n\
         \tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n",
    );
    let names: Vec<&str> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    let _ = writeln!(text, "\t\t--root) root=${{COMP_WORDS[i + 1]}} ;;"); // writing to a String cannot fail
    let _ = writeln!(text, "\t\t{}) command=${{COMP_WORDS[i]}}; break ;;\n\t\tesac\n\tdone", names.join(" | "));
    text.push_str(
        "\tcase $before in\n\
         \t--bundle | -b | --root)\n\t\tcompopt -o nospace 2>/dev/null\n\t\tCOMPREPLY=($(compgen -d -S / -- \"$word\"))\n\t\treturn ;;\n\
         \t--log-format) COMPREPLY=($(compgen -W 'text json' -- \"$word\")); return ;;\n\
         \t--format | -f) COMPREPLY=($(compgen -W 'table json' -- \"$word\")); return ;;\n\
         \t--rootless) COMPREPLY=($(compgen -W 'true false auto' -- \"$word\")); return ;;\n",
    );
    let paths = ["--log", "--pid-file", "--console-socket", "--pidfd-socket", "--process", "-p", "--resources", "-r"];
    let _ = writeln!(text, "\t{}) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n\tesac", paths.join(" | "));
    text.push_str("\tcase $command in\n");
    let _ = writeln!(text, "\t'') words='{} {} help' ;;", options(GLOBAL), names.join(" "));
    for (name, flags, arguments, _) in COMMANDS {
        let containers = if arguments.contains("<container-id>") { " $(_corten_runtime_ids)" } else { "" };
        let _ = writeln!(text, "\t{name}) words=\"{}{containers}\" ;;", options(flags));
    }
    text.push_str(
        "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n\n\
         # The ids below the root that was named, for which no program need run.\n\
         _corten_runtime_ids() {\n\tlocal directory\n\tfor directory in \"$root\"/*/; do\n\
         \t\t[ -d \"$directory\" ] && basename \"$directory\"\n\tdone\n}\n\n\
         complete -F _corten_runtime corten-runtime\n",
    );
    text
}

fn options(flags: &[Flag]) -> String {
    let shown = flags.iter().filter(|flag| !flag.help.is_empty());
    let mut words: Vec<String> = shown.map(|flag| format!("--{}", flag.name)).collect();
    words.push("--help".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_file_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/completions/corten-runtime");
        if std::env::var_os("CORTEN_REWRITE").is_some() {
            std::fs::write(path, bash()).expect("the file can be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(found, bash(), "run this test with CORTEN_REWRITE=1");
    }
}
