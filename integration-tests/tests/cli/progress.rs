//! The same streams of progress through docker's command line and ours give the same bytes, on pipes and terminals.

use crate::fake::Fake;

/// Streams as daemons sent them, and corners: name and lines.
const STREAMS: &[(&str, &[&str])] = &[
    (
        "pulled",
        &[
            r#"{"status":"Pulling from library/pulled","id":"latest"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"9fa9226be034"}"#,
            r#"{"status":"Waiting","progressDetail":{},"id":"9fa9226be034"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":163840,"total":1985000},"progress":"[====>    ]  163.8kB/1.985MB","id":"1a930d163dca"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1985000,"total":1985000},"progress":"[=========>]  1.985MB/1.985MB","id":"1a930d163dca"}"#,
            r#"{"status":"Verifying Checksum","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Download complete","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":32768,"total":1985000},"progress":"[>     ]  32.77kB/1.985MB","id":"1a930d163dca"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":77,"total":154},"progress":"[===>  ]  77B/154B","id":"9fa9226be034"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"9fa9226be034"}"#,
            r#"{"status":"Digest: sha256:0000000000000000000000000000000000000000000000000000000000000001"}"#,
            r#"{"status":"Status: Downloaded newer image for pulled:latest"}"#,
        ],
    ),
    (
        "alltags",
        &[
            r#"{"status":"Pulling from library/alltags","id":"one"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Pull complete","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Digest: sha256:0000000000000000000000000000000000000000000000000000000000000001"}"#,
            r#"{"status":"Pulling from library/alltags","id":"two"}"#,
            r#"{"status":"Already exists","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"2a930d163dca"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1000},"id":"2a930d163dca"}"#,
            r#"{"status":"Digest: sha256:0000000000000000000000000000000000000000000000000000000000000002"}"#,
        ],
    ),
    (
        "corners",
        &[
            r#"{"status":"Unpacking","progressDetail":{"current":3,"total":12,"units":"layers"},"id":"a"}"#,
            r#"{"status":"Unpacking","progressDetail":{"current":13,"total":12,"units":"layers"},"id":"a"}"#,
            r#"{"status":"Unpacking","progressDetail":{"current":4,"units":"layers"},"id":"a"}"#,
            r#"{"status":"Hidden","progressDetail":{"current":4,"total":8,"hidecounts":true},"id":"b"}"#,
            r#"{"status":"Beyond","progressDetail":{"current":9999999999999,"total":1},"id":"b"}"#,
            r#"{"status":"Nobody","progressDetail":{"current":1,"total":3}}"#,
            r#"{"status":"Old daemon","progress":"[==>  ]","id":"c"}"#,
            "{\"stream\":\"Loaded image: x\\n\"}",
            r#"{"stream":"with detail","progressDetail":{}}"#,
            r#"{"status":"from somewhere","id":"d","from":"busybox","time":1136214245}"#,
            r#"{"status":"later","id":"d","timeNano":1136214245000000001}"#,
            r#"{"status":"größer","progressDetail":{"current":5,"total":10},"id":"é"}"#,
            r#"{"id":"aux","aux":{"ID":"sha256:0"}}"#,
            "{}",
            r#"{"status":null,"id":null,"time":null,"errorDetail":null,"error":null,"progressDetail":null,"aux":null}"#,
            r#"  {"status":"two"}   {"status":"on a line"}"#,
        ],
    ),
    (
        "failed",
        &[
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1a930d163dca"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":10,"total":20},"id":"1a930d163dca"}"#,
            r#"{"errorDetail":{"message":"toomanyrequests: slow down"},"error":"toomanyrequests: slow down"}"#,
            r#"{"status":"never shown"}"#,
        ],
    ),
    (
        "failedthere",
        &[
            r#"{"status":"Downloading","progressDetail":{"current":10,"total":20},"id":"1a930d163dca"}"#,
            r#"{"errorDetail":{"code":404,"message":"gone"},"error":"gone","progressDetail":{},"id":"1a930d163dca"}"#,
        ],
    ),
    ("cutoff", &[r#"{"status":"Pulling from library/cutoff","id":"latest"}"#, r#"{"status":"Pull"#]),
    ("empty", &[]),
];

/// Widths on both sides of docker's bound for bars (110) and its bound for the time left (50).
const WIDTHS: [u16; 3] = [40, 110, 111];

#[test]
fn progress_reads_as_docker_s() {
    let fake = Fake::start();
    for (name, lines) in STREAMS {
        let line = format!("POST /images/create?fromImage=docker.io%2Flibrary%2F{name}&");
        fake.answer(&line, 200, &lines.join("\r\n"));
        for arguments in [&["pull", name][..], &["pull", "-q", name]] {
            fake.same(&format!("{} on pipes", arguments.join(" ")), |cli| {
                let (ran, _) = fake.run(cli, arguments, &[]);
                (ran.code, ran.stdout, ran.stderr)
            });
        }
        for columns in WIDTHS {
            fake.same(&format!("pull {name} on {columns} columns"), |cli| {
                fake.run_on_terminal(cli, columns, &["pull", name], &[])
            });
        }
    }
}
