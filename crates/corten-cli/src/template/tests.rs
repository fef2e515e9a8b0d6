use super::{FunctionSet, Json, MissingKey, Template, Value};

fn render(text: &str, data: &Value) -> Result<String, String> {
    let template = Template::parse("", text).map_err(|error| error.0)?;
    let mut output = String::new();
    template.execute(&mut output, data, FunctionSet::Values, MissingKey::Error).map_err(|error| error.0)?;
    Ok(output)
}

fn sample() -> Value {
    Json::parse(
        br#"{"Id":"abc","Name":"/web","RestartCount":3,"State":{"Status":"running","Running":true,"Health":null},
        "Config":{"Env":["A=1","B=x y"],"Labels":{"z":"<b>","a":"1"},"Entrypoint":null,"Volumes":null},
        "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"443/tcp":null}}}"#,
    )
    .unwrap()
}

fn check(text: &str, expected: &str) {
    assert_eq!(render(text, &sample()).as_deref(), Ok(expected), "{text}");
}

fn check_error(text: &str, expected: &str) {
    assert_eq!(render(text, &sample()), Err(expected.to_owned()), "{text}");
}

#[test]
fn fields_and_functions() {
    check("{{.Id}} {{.State.Status}} {{.RestartCount}}", "abc running 3");
    check("{{json .State}}", r#"{"Status":"running","Running":true,"Health":null}"#);
    check("{{index .Config.Labels \"z\"}}|{{index .Config.Labels \"none\"}}", "<b>|<no value>");
    check("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080");
    check("{{printf \"%q %5d|%-4s|%.2s\" .Name 42 .Id .Name}}", "\"/web\"    42|abc |/w");
    check("{{upper .Id | printf \"%s!\"}}{{len .Config.Env}}", "ABC!2");
    check("{{join .Config.Env \",\"}} {{title \"hello world\"}} {{pad .Id 1 2}}|", "A=1,B=x y Hello World  abc  |");
    check("{{truncate .Name 3}} {{slice .Name 1 3}}", "/we we");
}

#[test]
fn control_structures() {
    check("{{if .State.Running}}up{{else}}down{{end}}", "up");
    check("{{if eq .RestartCount 1}}a{{else if gt .RestartCount 2}}b{{else}}c{{end}}", "b");
    check("{{range .Config.Env}}[{{.}}]{{end}}", "[A=1][B=x y]");
    check("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;z=<b>;");
    check("{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}", "A=1,B=x y");
    check("{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none");
    check("{{with .State.Health}}{{.Status}}{{else}}no health{{end}}", "no health");
    check("{{$x := 1}}{{range .Config.Env}}{{$x = 2}}{{end}}{{$x}}", "2");
    check("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .Id}}", "<abc>");
    check("a {{- /* gone */ -}} b", "ab");
    check("{{range .Config.Env}}{{break}}{{end}}{{and true .Id}}{{or \"\" \"b\"}}{{not true}}", "abcbfalse");
}

#[test]
fn values_print_as_go_prints_them() {
    check(
        "{{.Config.Env}} {{.Config.Labels}} {{.Config.Volumes}} {{.Config.Entrypoint}}",
        "[A=1 B=x y] map[a:1 z:<b>] map[] []",
    );
    check("{{.State}}", "{running true <nil>}");
    check("{{println 1 \"a\"}}{{print 1 2 \"a\" 3}}", "1 a\n1 2a3");
}

#[test]
fn errors_are_go_s() {
    check_error(
        "{{.State.Nope}}",
        "template: :1:8: executing \"\" at <.State.Nope>: map has no entry for key \"Nope\"",
    );
    check_error("{{foo}}", "template: :1: function \"foo\" not defined");
    check_error("{{.Id", "template: :1: unclosed action");
    check_error("{{if .Id}}", "template: :1: unexpected EOF");
    check_error("{{$x}}", "template: :1: undefined variable \"$x\"");
    check_error("{{end}}", "template: :1: unexpected {{end}}");
    check_error(
        "{{index .Config.Env 9}}",
        "template: :1:2: executing \"\" at <index .Config.Env 9>: error calling index: index out of range: 9",
    );
}
