//! The guests, what must come of each, and those that no SDK would make.

use End::{Makes, Stops};

/// What must come of a guest's app.
pub(crate) enum End {
    /// Nothing of the app is applied; its error has these words besides app, plugin and digest.
    Stops(&'static [&'static str]),
    /// It is applied, and its file has these words.
    Makes(&'static [&'static str]),
}

/// A guest, what its trial holds, the limits and more of its app in weir.yaml, and what comes of it.
pub(crate) struct Guest {
    pub(crate) name: &'static str,
    pub(crate) holds: &'static str,
    pub(crate) limits: &'static str,
    pub(crate) end: End,
}

pub(crate) const fn guest(
    name: &'static str,
    holds: &'static str,
    limits: &'static str,
    end: End,
) -> Guest {
    Guest {
        name,
        holds,
        limits,
        end,
    }
}

/// What the lock says of the time, as `wants-clock` sees it in nanoseconds: 2024-01-02T03:04:05Z.
pub(crate) const INSTANT: &str = "2024-01-02T03:04:05Z";
const MIB_64: &str = "memory: 64Mi";

pub(crate) const ZOO: &[Guest] = &[
    guest(
        "endless-loop",
        "ends_with_its_fuel",
        "fuel: 300M",
        Stops(&[
            "ran out of fuel",
            "300M",
            "raise limits.fuel of plugin `endless-loop` in weir.yaml",
        ]),
    ),
    guest(
        "memory-bomb",
        "ends_with_its_memory",
        MIB_64,
        Stops(&[
            "ran out of memory",
            "may use 64Mi",
            "raise limits.memory of plugin `memory-bomb`",
        ]),
    ),
    guest(
        "deep-recursion",
        "is_told_that_it_recurses",
        "",
        Stops(&[
            "trapped",
            "recursion is too deep",
            "report it to its author",
        ]),
    ),
    guest(
        "huge-output",
        "ends_with_its_output",
        "",
        Stops(&[
            "output limit of 64Mi",
            "raise limits.output of plugin `huge-output`",
        ]),
    ),
    guest(
        "many-documents",
        "is_told_that_nobody_needs_so_many",
        "",
        Stops(&["1000000 items", "at most 100000", "split the app"]),
    ),
    guest(
        "trap",
        "is_called_a_bug_with_its_last_words",
        "",
        Stops(&[
            "trapped, which is a bug in the plugin; report it to its author",
            "this guest always panics",
        ]),
    ),
    guest(
        "wants-clock",
        "sees_the_instant_of_the_lock",
        "",
        Makes(&["wall 1704164645000000000 1704164645000000000 monotonic 1000000 2000000"]),
    ),
    guest(
        "sleeps",
        "is_refused_its_sleep",
        "",
        Stops(&[
            "monotonic-clock.subscribe-duration (a sleep)",
            "refused during a call",
            "take the sleep or the timer out",
        ]),
    ),
    guest(
        "wants-seed",
        "gets_a_constant",
        "",
        Makes(&["5604216309487989039"]),
    ),
    guest(
        "wants-random",
        "is_refused_with_what_it_asked_for_and_a_way_out",
        "",
        Stops(&[
            "wasi:random/random.get-random-u64",
            "refused during a call",
            "put it into the repository",
        ]),
    ),
    guest(
        "wants-network",
        "is_not_even_loaded",
        "",
        Stops(&[
            "imports `wasi:sockets/",
            "a renderer may not have",
            "no network",
            "build it without",
        ]),
    ),
    guest(
        "bad-utf8",
        "is_told_the_byte",
        "",
        Stops(&[
            "guest.yaml:1:7: the byte 0xff is not UTF-8",
            "report it to its author",
        ]),
    ),
    guest(
        "not-an-object",
        "is_told_what_it_gave_instead",
        "",
        Stops(&[
            "guest.yaml:1: expected a Kubernetes object (a map), found a list",
            "report it to its author",
        ]),
    ),
    guest(
        "no-kind",
        "is_told_what_is_missing",
        "",
        Stops(&["guest.yaml:1: `kind` is missing", "report it to its author"]),
    ),
    guest(
        "two-of-one-name",
        "is_told_the_object",
        "",
        Stops(&[
            "ConfigMap two-of-one-name/same: is there twice",
            "guest.yaml:1",
        ]),
    ),
    guest(
        "reads-forever",
        "ends_with_its_host_calls",
        "hostCalls: 2000",
        Stops(&[
            "called the host too often",
            "2000 times",
            "raise limits.hostCalls of plugin `reads-forever`",
        ]),
    ),
    guest(
        "reads-outside",
        "sees_nothing_outside_its_roots",
        "",
        Makes(&[
            "/etc/passwd: read Err(InvalidPath)",
            "../work/weir.yaml: read Err(InvalidPath)",
            "weir.yaml: read Err(NotFound)",
            "apps/trap/a.yaml: read Err(NotFound)",
            "apps/reads-outside/a.yaml: read Ok(",
        ]),
    ),
    guest(
        "reads-environment",
        "sees_no_environment_and_no_files",
        "",
        Makes(&[
            "variables [] arguments [] files refused: ",
            "write refused: ",
        ]),
    ),
    guest(
        "diagnoses",
        "says_itself_what_is_wrong_and_where",
        "",
        Stops(&[
            "a.yaml:3: this guest always says no (guest-says-no)",
            "and it warns (guest-warns)",
        ]),
    ),
    guest(
        "floods-log",
        "ends_with_its_host_calls",
        "hostCalls: 2000",
        Stops(&[
            "called the host too often",
            "2000 times",
            "raise limits.hostCalls of plugin `floods-log`",
        ]),
    ),
    guest(
        "echo-renderer",
        "renders",
        "",
        Makes(&["name: echo-renderer"]),
    ),
    guest(
        "echo-transformer",
        "transforms",
        "",
        Makes(&["name: echo-transformer"]),
    ),
    guest(
        "all-roles",
        "renders_from_the_file_that_its_config_names",
        "",
        Makes(&["said: \"apiVersion: v1 kind: ConfigMap"]),
    ),
    guest(
        "adds-team",
        "does_what_the_readme_says",
        "",
        Makes(&["team: red"]),
    ),
    guest(
        "drops-all",
        "never_means_delete_everything",
        "",
        Stops(&[
            "plugin `yaml`",
            ", then plugin `drops-all`",
            "renders to nothing",
            "take the app out of weir.yaml",
        ]),
    ),
    guest(
        "echo-validator",
        "lets_pass_what_it_only_notes",
        "",
        Makes(&["name: echo-validator"]),
    ),
    guest(
        "refuses-all",
        "is_named_with_the_object_that_it_refuses",
        "",
        Stops(&[
            "refused by plugin `refuses-all`",
            "apps/refuses-all/a.yaml:1: error [refused] ConfigMap",
            "change that plugin's config",
        ]),
    ),
];

/// Guests that no SDK would make: the answer's tag, pointer and length, and the bytes that lie in memory.
pub(crate) struct Raw {
    pub(crate) guest: Guest,
    pub(crate) role: &'static str,
    pub(crate) answer: [u32; 3],
    /// Two words at 2000: where the one item is, and its length.
    pub(crate) item: [u32; 2],
    pub(crate) bytes: &'static str,
}

pub(crate) const RAW: &[Raw] = &[
    Raw {
        guest: guest(
            "raw-not-json",
            "is_told_that_its_object_is_no_json",
            "",
            Stops(&[
                "gave back something that is not a Kubernetes object",
                "line 1 column 1",
                "report it to its author",
            ]),
        ),
        role: "transformer",
        answer: [0, 2000, 1],
        item: [3000, 4],
        bytes: r"\ff\fe\00{",
    },
    Raw {
        guest: guest(
            "raw-scalar",
            "is_told_that_its_object_is_a_number",
            "",
            Stops(&[
                "expected a Kubernetes object (a map), found a number",
                "report it to its author",
            ]),
        ),
        role: "transformer",
        answer: [0, 2000, 1],
        item: [3000, 1],
        bytes: "7",
    },
    Raw {
        guest: guest(
            "raw-outside",
            "is_told_that_its_answer_lies_outside_its_memory",
            "",
            Stops(&[
                "trapped, which is a bug in the plugin",
                "report it to its author",
            ]),
        ),
        role: "transformer",
        answer: [0, 0xffff_fff0, 9],
        item: [0, 0],
        bytes: "",
    },
    Raw {
        guest: guest(
            "raw-finding",
            "is_told_that_its_text_is_no_utf8",
            "",
            Stops(&["a text that is not UTF-8", "report it to its author"]),
        ),
        role: "validator",
        answer: [1, 3000, 2],
        item: [0, 0],
        bytes: r"\ff\fe",
    },
    Raw {
        guest: guest(
            "raw-about-nothing",
            "is_told_that_there_is_no_such_object",
            "",
            Stops(&["a finding about object 7 of 1", "report it to its author"]),
        ),
        role: "validator",
        // One finding: level, code, message, then an object's index, which is there (1) and is 7.
        answer: [0, 3000, 1],
        item: [0, 0],
        bytes: r"\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\07\00\00\00",
    },
];
