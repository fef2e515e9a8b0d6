//! The commands and their flags, with ctr 1.6's names.

/// A flag of a command.
pub struct Flag {
    /// Its long name.
    pub long: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// What it is for.
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// One value, with a default.
    One(&'static str),
    /// A value each time it is given.
    Many,
}

const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { long, short, takes: Takes::Nothing, help }
}

const fn one(long: &'static str, short: Option<char>, default: &'static str, help: &'static str) -> Flag {
    Flag { long, short, takes: Takes::One(default), help }
}

const fn many(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Many, help }
}

/// A command of a noun.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What stands behind its flags.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its flags.
    pub flags: &'static [&'static [Flag]],
    /// Where words begin that belong to the container: behind how many of its own. None: flags stand anywhere.
    pub words_after: Option<usize>,
}

const fn verb(
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    about: &'static str,
    flags: &'static [&'static [Flag]],
) -> Verb {
    Verb { name, aliases, usage, about, flags, words_after: None }
}

/// A noun and its commands.
pub struct Noun {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What it is about.
    pub about: &'static str,
    /// Its commands; one without a name is the noun itself.
    pub verbs: &'static [Verb],
    /// What ctr has besides and this program does not do yet.
    pub later: &'static [&'static str],
}

const DELETE: &[&str] = &["del", "remove", "rm"];
const LIST: &[&str] = &["ls"];
const QUIET: Flag = switch("quiet", Some('q'), "print only the names");
/// The flag that names a snapshotter; `snapshots` takes it anywhere.
pub const SNAPSHOTTER: Flag =
    one("snapshotter", None, "", "snapshotter name. Empty value stands for the default value");
const TARGET: &[Flag] = &[
    one("target", Some('t'), "", "mount target path, will print mount, if provided"),
    switch("mounts", None, "print out snapshot mounts as JSON"),
];

/// Flags of `run` and `containers create`.
const CONTAINER: &[Flag] = &[
    SNAPSHOTTER,
    many("snapshotter-label", "labels added to the new snapshot for this container"),
    one("config", Some('c'), "", "path to the runtime-specific spec config file"),
    one("cwd", None, "", "specify the working directory of the process"),
    many("env", "specify additional container environment variables (e.g. FOO=bar)"),
    one("env-file", None, "", "specify additional container environment variables in a file"),
    many("label", "specify additional labels (e.g. foo=bar)"),
    many("annotation", "specify additional OCI annotations (e.g. foo=bar)"),
    many("mount", "specify additional container mount (e.g. type=bind,src=/tmp,dst=/host,options=rbind:ro)"),
    switch("net-host", None, "enable host networking for the container"),
    switch("privileged", None, "run privileged container"),
    switch("read-only", None, "set the containers filesystem as readonly"),
    one("runtime", None, "io.containerd.runc.v2", "runtime name"),
    one("runtime-config-path", None, "", "optional runtime config path"),
    switch("tty", Some('t'), "allocate a TTY for the container"),
    many("with-ns", "specify existing Linux namespaces to join (format '<nstype>:<path>')"),
    one("pid-file", None, "", "file path to write the task's pid"),
    many("gpus", "add gpus to the container"),
    switch("allow-new-privs", None, "turn off OCI spec's NoNewPrivileges feature flag"),
    one("memory-limit", None, "0", "memory limit (in bytes) for the container"),
    many("device", "file path to a device to add to the container; or a path to a directory tree of devices"),
    many("cap-add", "add Linux capabilities (Set capabilities with 'CAP_' prefix)"),
    many("cap-drop", "drop Linux capabilities (Set capabilities with 'CAP_' prefix)"),
    switch("seccomp", None, "enable the default seccomp profile"),
    one("seccomp-profile", None, "", "file path to custom seccomp profile"),
    one("apparmor-default-profile", None, "", "enable AppArmor with the default profile"),
    one("apparmor-profile", None, "", "enable AppArmor with an existing custom profile"),
    one("rdt-class", None, "", "name of the RDT class to associate the container with"),
    switch("rootfs", None, "use custom rootfs that is not managed by containerd snapshotter"),
    switch("no-pivot", None, "disable use of pivot-root (linux only)"),
    one("cpu-quota", None, "-1", "limit CPU CFS quota"),
    one("cpu-period", None, "0", "limit CPU CFS period"),
    one("rootfs-propagation", None, "", "set the propagation of the container rootfs"),
];

const RUN: &[Flag] = &[
    switch("rm", None, "remove the container after running, cannot be used with --detach"),
    switch("null-io", None, "send all IO to /dev/null"),
    one("log-uri", None, "", "log uri"),
    switch("detach", Some('d'), "detach from the task after it has started execution, cannot be used with --rm"),
    one("fifo-dir", None, "", "directory used for storing IO FIFOs"),
    one("cgroup", None, "", "cgroup path (To disable use of cgroup, set to \"\" explicitly)"),
    one("platform", None, "", "run image for specific platform"),
    switch("cni", None, "enable cni networking for the container"),
    one("runc-binary", None, "", "specify runc-compatible binary"),
    one("runc-root", None, "", "specify runc-compatible root"),
    switch("runc-systemd-cgroup", None, "start runc with systemd cgroup manager"),
    one("uidmap", None, "", "run inside a user namespace with the specified UID mapping range"),
    one("gidmap", None, "", "run inside a user namespace with the specified GID mapping range"),
    switch("remap-labels", None, "provide the user namespace ID remapping to the snapshotter via label options"),
    one("cpus", None, "0", "set the CFS cpu quota"),
    one("cpu-shares", None, "1024", "set the cpu shares"),
];

/// Every noun.
pub const NOUNS: &[Noun] = &[
    Noun {
        name: "plugins",
        aliases: &["plugin"],
        about: "provides information about containerd plugins",
        verbs: &[verb(
            "list",
            LIST,
            "[flags]",
            "lists containerd plugins",
            &[&[QUIET, switch("detailed", Some('d'), "print detailed information about each plugin")]],
        )],
        later: &[],
    },
    Noun {
        name: "version",
        aliases: &[],
        about: "print the client and server versions",
        verbs: &[verb("", &[], "", "print the client and server versions", &[])],
        later: &[],
    },
    Noun {
        name: "containers",
        aliases: &["c", "container"],
        about: "manage containers",
        verbs: &[
            Verb {
                words_after: Some(2),
                ..verb(
                    "create",
                    &[],
                    "[flags] Image|RootFS CONTAINER [COMMAND] [ARG...]",
                    "create container",
                    &[CONTAINER],
                )
            },
            verb(
                "delete",
                DELETE,
                "[flags] CONTAINER [CONTAINER, ...]",
                "delete one or more existing containers",
                &[&[switch("keep-snapshot", None, "do not clean up snapshot with container")]],
            ),
            verb(
                "info",
                &[],
                "CONTAINER",
                "get info about a container",
                &[&[switch("spec", None, "only display the spec")]],
            ),
            verb("list", LIST, "[flags] [<filter>, ...]", "list containers", &[&[QUIET]]),
            verb("label", &[], "CONTAINER [<key>=<value>, ...]", "set and clear labels for a container", &[]),
        ],
        later: &["checkpoint", "restore"],
    },
    Noun {
        name: "content",
        aliases: &[],
        about: "manage content",
        verbs: &[
            verb(
                "active",
                &[],
                "[flags] [<regexp>]",
                "display active transfers",
                &[&[
                    one("timeout", Some('t'), "0s", "total timeout for fetch"),
                    one("root", None, "/tmp/content", "path to content store root"),
                ]],
            ),
            verb("delete", DELETE, "[<digest>, ...]", "permanently delete one or more blobs", &[]),
            verb("get", &[], "[<digest>, ...]", "get the data for an object", &[]),
            verb(
                "ingest",
                &[],
                "[flags] <key>",
                "accept content into the store",
                &[&[
                    one("expected-size", None, "0", "validate against provided size"),
                    one("expected-digest", None, "", "verify content against expected digest"),
                ]],
            ),
            verb("list", LIST, "[flags]", "list all blobs in the store", &[&[QUIET]]),
            verb("label", &[], "<digest> [<label>=<value> ...]", "add labels to content", &[]),
        ],
        later: &["edit", "fetch", "fetch-object", "push-object", "prune"],
    },
    Noun {
        name: "events",
        aliases: &["event"],
        about: "display containerd events",
        verbs: &[verb("", &[], "[<filter>, ...]", "display containerd events", &[])],
        later: &[],
    },
    Noun {
        name: "images",
        aliases: &["image", "i"],
        about: "manage images",
        verbs: &[
            verb(
                "check",
                &[],
                "[flags] [<filter>, ...]",
                "check existing images to ensure all content is available locally",
                &[&[QUIET, SNAPSHOTTER]],
            ),
            verb(
                "import",
                &[],
                "[flags] <in>",
                "import images",
                &[&[one("platform", None, "", "imports content for specific platform"), SNAPSHOTTER]],
            ),
            verb("list", LIST, "[flags] [<filter>, ...]", "list images known to containerd", &[&[QUIET]]),
            verb(
                "delete",
                DELETE,
                "[flags] <ref> [<ref>, ...]",
                "remove one or more images by reference",
                &[&[switch("sync", None, "synchronously remove image and all associated resources")]],
            ),
            verb(
                "tag",
                &[],
                "[flags] <source_ref> <target_ref> [<target_ref>, ...]",
                "tag an image",
                &[&[switch("force", None, "force target_ref to be created, regardless if it already exists")]],
            ),
            verb(
                "label",
                &[],
                "[flags] <name> [<key>=<value>, ...]",
                "set and clear labels for an image",
                &[&[switch("replace-all", Some('r'), "replace all labels")]],
            ),
        ],
        later: &["export", "mount", "unmount", "pull", "push", "convert"],
    },
    Noun {
        name: "leases",
        aliases: &[],
        about: "manage leases",
        verbs: &[
            verb("list", LIST, "[flags] <filter>", "list all active leases", &[&[QUIET]]),
            verb(
                "create",
                &[],
                "[flags] <label>=<value> ...",
                "create lease",
                &[&[
                    one("id", None, "", "set the id for the lease, will be generated by default"),
                    one("expires", Some('x'), "24h0m0s", "expiration of lease (0 value will not expire)"),
                ]],
            ),
            verb(
                "delete",
                DELETE,
                "[flags] <lease id> ...",
                "delete a lease",
                &[&[switch("sync", None, "synchronously remove leases and all unreferenced resources")]],
            ),
        ],
        later: &[],
    },
    Noun {
        name: "namespaces",
        aliases: &["namespace", "ns"],
        about: "manage namespaces",
        verbs: &[
            verb("create", &["c"], "<name> [<key>=<value>]", "create a new namespace", &[]),
            verb("list", LIST, "[flags]", "list namespaces", &[&[QUIET]]),
            verb(
                "remove",
                &["rm"],
                "<name> [<name>, ...]",
                "remove one or more namespaces",
                &[&[switch("cgroup", Some('c'), "delete the namespace's cgroup")]],
            ),
            verb("label", &[], "<name> [<key>=<value>, ...]", "set and clear labels for a namespace", &[]),
        ],
        later: &[],
    },
    Noun {
        name: "run",
        aliases: &[],
        about: "run a container",
        verbs: &[Verb {
            words_after: Some(2),
            ..verb("", &[], "[flags] Image|RootFS ID [COMMAND] [ARG...]", "run a container", &[RUN, CONTAINER])
        }],
        later: &[],
    },
    Noun {
        name: "snapshots",
        aliases: &["snapshot"],
        about: "manage snapshots",
        verbs: &[
            verb("commit", &[], "<key> <active>", "commit an active snapshot into the provided name", &[]),
            verb(
                "diff",
                &[],
                "[flags] <idA> [<idB>]",
                "get the diff of two snapshots. the default second snapshot is the first snapshot's parent",
                &[&[
                    one(
                        "media-type",
                        None,
                        "application/vnd.oci.image.layer.v1.tar+gzip",
                        "media type to use for creating diff",
                    ),
                    one("ref", None, "", "content upload reference to use"),
                    switch("keep", None, "keep diff content. up to creator to delete it"),
                    many("label", "labels to attach to the image"),
                ]],
            ),
            verb("info", &[], "<key>", "get info about a snapshot", &[]),
            verb("list", LIST, "", "list snapshots", &[]),
            verb("mounts", &["m", "mount"], "<target> <key>", "mount gets mount commands for the snapshots", &[]),
            verb("prepare", &[], "[flags] <key> [<parent>]", "prepare a snapshot from a committed snapshot", &[TARGET]),
            verb("delete", DELETE, "<key> [<key>, ...]", "remove snapshots", &[]),
            verb("label", &[], "<name> [<label>=<value> ...]", "add labels to content", &[]),
            verb("tree", &[], "", "display tree view of snapshot branches", &[]),
            verb("unpack", &[], "<digest>", "unpack applies layers from a manifest to a snapshot", &[]),
            verb(
                "usage",
                &[],
                "[flags] [<key>, ...]",
                "usage snapshots",
                &[&[switch("b", Some('b'), "display size in bytes")]],
            ),
            verb(
                "view",
                &[],
                "[flags] <key> [<parent>]",
                "create a read-only snapshot from a committed snapshot",
                &[TARGET],
            ),
        ],
        later: &[],
    },
    Noun {
        name: "tasks",
        aliases: &["t", "task"],
        about: "manage tasks",
        verbs: &[
            verb(
                "delete",
                DELETE,
                "CONTAINER [CONTAINER, ...]",
                "delete one or more tasks",
                &[&[
                    switch("force", Some('f'), "force delete task process"),
                    one("exec-id", None, "", "process ID to kill"),
                ]],
            ),
            Verb {
                words_after: Some(1),
                ..verb(
                    "exec",
                    &[],
                    "[flags] CONTAINER CMD [ARG...]",
                    "execute additional processes in an existing container",
                    &[&[
                        one("cwd", None, "", "working directory of the new process"),
                        switch("tty", Some('t'), "allocate a TTY for the container"),
                        switch("detach", Some('d'), "detach from the task after it has started execution"),
                        one("exec-id", None, "", "exec specific id for the process"),
                        one("fifo-dir", None, "", "directory used for storing IO FIFOs"),
                        one("log-uri", None, "", "log uri for custom shim logging"),
                        one("user", None, "", "user id or name"),
                    ]],
                )
            },
            verb("list", LIST, "[flags]", "list tasks", &[&[QUIET]]),
            verb(
                "kill",
                &[],
                "[flags] CONTAINER",
                "signal a container (default: SIGTERM)",
                &[&[
                    one("signal", Some('s'), "", "signal to send to the container"),
                    one("exec-id", None, "", "process ID to kill"),
                    switch("all", Some('a'), "send signal to all processes inside the container"),
                ]],
            ),
            verb("pause", &[], "CONTAINER", "pause an existing container", &[]),
            verb("ps", &[], "CONTAINER", "list processes for container", &[]),
            verb("resume", &[], "CONTAINER", "resume a paused container", &[]),
            verb(
                "start",
                &[],
                "CONTAINER",
                "start a container that has been created",
                &[&[
                    switch("null-io", None, "send all IO to /dev/null"),
                    one("log-uri", None, "", "log uri"),
                    one("fifo-dir", None, "", "directory used for storing IO FIFOs"),
                    one("pid-file", None, "", "file path to write the task's pid"),
                    switch("detach", Some('d'), "detach from the task after it has started execution"),
                    switch("no-pivot", None, "disable use of pivot-root (linux only)"),
                ]],
            ),
            verb(
                "metrics",
                &["metric"],
                "CONTAINER",
                "get a single data point of metrics for a task",
                &[&[one("format", None, "table", "\"table\" or \"json\"")]],
            ),
        ],
        later: &["attach", "checkpoint"],
    },
];
