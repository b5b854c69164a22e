//! `docs/settings.md`, made from the table: a test, so that it is no part of what runs on each node.

use std::fmt::Write;

use super::*;
use crate::settings::predecessors::{Effect, Former};
use crate::settings::table::{GROUPS, Group, Row};

/// The README's is a choice from the page's table: what it says of a setting is what the table says.
#[test]
fn what_the_readme_says_of_a_setting_is_so() {
    let readme = include_str!("../../../README.md");
    let told: Vec<_> = readme.lines().filter(|line| line.starts_with("| `--")).collect();
    assert!(told.len() >= 8, "{told:?}");
    let lines: Vec<_> = rows().map(readme_line).collect();
    for line in told {
        let name = line.split(' ').nth(1).unwrap();
        let right = lines.iter().find(|right| right.split(' ').nth(1) == Some(name));
        assert_eq!(Some(line), right.map(String::as_str), "in README.md");
    }
}

fn readme_line(row: &Row) -> String {
    format!("| `--{}` | {} | {} | {} |", row.flag, variables(row), default(row), row.help)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the page is written where it is asked for")]
fn the_page_is_made_from_the_table() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
        std::fs::write(path, page).unwrap();
        return;
    }
    let written = include_str!("../../../docs/settings.md");
    let differs = written.lines().zip(page.lines()).find(|(written, made)| written != made);
    assert!(
        written == page,
        "docs/settings.md is not what the table makes of it: {differs:?}\n\
         Write it anew with: UPDATE_DOCS=1 cargo test --lib the_page_is_made_from_the_table"
    );
}

fn page() -> String {
    let everyday = rows().filter(|row| row.is_everyday).map(|row| format!("`{}`", row.variable));
    let mut page = BEGINNING.replace("EVERYDAY", &everyday.collect::<Vec<_>>().join(", "));
    for group in GROUPS {
        section(&mut page, group);
    }
    page.push_str(FORMER_NAMES);
    for former in FORMER {
        page.push_str(&former_line(former));
    }
    page
}

fn section(page: &mut String, group: &Group) {
    let (_, about) = ABOUT.iter().find(|(title, _)| *title == group.title).unwrap();
    write!(page, "## {}\n\n{about}", group.title).unwrap();
    for row in group.rows {
        let Row { help, valid, .. } = row;
        let switch = if row.placeholder.is_none() { "; alone it means `true`" } else { "" };
        let flags: Vec<_> = row.flags().map(|flag| format!("`--{flag}`")).collect();
        let flags = flags.join(", ");
        let (variables, default) = (variables(row), default(row));
        write!(
            page,
            "### {variables}\n\n{help}\n\n- Flag: {flags}{switch}\n- Default: {default}\n- Valid: \
             {valid}\n"
        )
        .unwrap();
        if let Stakes::Reports(instead) = row.stakes
            && !instead.is_empty()
        {
            writeln!(page, "- Otherwise: {instead}").unwrap();
        }
        page.push('\n');
    }
}

fn variables(row: &Row) -> String {
    let names = std::iter::once(&row.variable).chain(row.aliases);
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn default(row: &Row) -> String {
    match row.default {
        DefaultValue::Is(value) => format!("`{value}`"),
        DefaultValue::Unset(words) => words.to_owned(),
    }
}

fn former_line(former: &Former) -> String {
    let said =
        former.as_here.map_or_else(|| "any".to_owned(), |value| format!("other than `{value}`"));
    let said = if former.is_common { "given as a flag".to_owned() } else { said };
    match former.effect {
        Effect::None(instead) => format!("| `{}` | {said} | {instead} |\n", former.variable),
        Effect::Refused(_) => {
            format!("| `{}` | **refused**: {said} | {QUEUE} |\n", former.variable)
        }
    }
}

const QUEUE: &str = "it asks for one process that reads a queue for all nodes; there is no such mode, \
                     and the program does not start (64)";

const BEGINNING: &str = "\
<!-- Made from src/settings/table by a test. To change it, change it there, and then:
     UPDATE_DOCS=1 cargo test --lib the_page_is_made_from_the_table -->

# Settings

Each setting is a flag and an environment variable. **The flag comes first, then the variable, then the
default.** Where a variable has other names, the first that is set counts, and a remark at start says
which one does not. An empty value counts as unset: templates make such. White space around a value does not
count: a Secret that was made from a file has a line break at its end.

A flag has one dash or two, and its value behind `=` or as the next argument: `--cluster=blue`,
`-cluster blue`. A switch alone means `true`; another value stands behind `=`: `--dry-run=false`.

    k8s-spot-handler --help              every setting, in short
    k8s-spot-handler --print-settings    what is in force here, and where each value comes from

`--print-settings` takes the same flags and environment, does nothing else, and needs no cluster: what is
missing is shown as `(missing)`. If anything is not valid, it says what on standard error and ends with 64, also
where the program would start without it: that stands at the end.

**No secret is shown**, neither there nor in the log nor in an error: URLs of webhooks but for their host, keys,
headers, templates, users and passwords in URLs, queries of URLs, whatever looks like a token, values of names
without effect. An argument that is neither a flag nor the value of one is identified by its position.

**By hand** ([by-hand.md](by-hand.md)) and outside a pod, that is, where `KUBERNETES_SERVICE_HOST` is not set,
variables of the shell may be meant for other programs. There `check`, `plan`, `drain` and `restore` do not read
EVERYDAY.
Where one of them is set, a remark says so. Use the flag instead.

**Durations** are numbers with their units, without spaces: `500ms`, `90s`, `2m`, `1m30s`, `1h`. A bare
number is refused, because whoever wrote it may have meant another unit; only names that other handlers
had before take one, as seconds, and their entries below say so.

**Lists** are `name=value` with commas between them. Spaces around names, values and commas do not count;
an empty item or a name that stands twice is refused.

**A value that is not valid** ends the program before it does anything, if the setting decides about pods: which
node, who goes, when, with what grace, the marks on the node, how the metadata service and the API server are
reached. A setting that is about reports ends nothing: the node is guarded without it. An error in the log
(`setting_unusable`) names it, what would be valid and what holds in its place; `check` and the metric
`report_faults` tell of it, too. What holds is the default, unless the setting says otherwise below. The settings
of commands by hand end those commands only.

**Exit status**: 0 when told to end, by SIGTERM or SIGINT. Before anything is done: 64 for settings that decide
about pods and are not valid, all of which are named at once with what would be valid; 71 where the system gives
no thread to poll with, or no sockets and signals to wait for. Nothing else ends it: neither a port that is taken
nor a file of a webhook that is missing, which are tried again.

";

/// What is to be said of each group, by its title.
const ABOUT: [(&str, &str); 11] = [
    (
        "Who it is",
        "\
In a DaemonSet these come from the downward API (`valueFrom.fieldRef`). One of `NODE_NAME` and `POD_NAME`
is needed.

",
    ),
    (
        "Where notices come from",
        "\
Without any of these it asks the EC2 instance metadata service, with IMDSv2, every second.

",
    ),
    (
        "What is done about which notice",
        "\
| Notice | Watched with | What is done | Until when |
|---|---|---|---|
| spot interruption | `ENABLE_SPOT_INTERRUPTION_DRAINING` | marks and drain, at once | the time that the notice states; else `NODE_TERMINATION_GRACE_PERIOD` |
| scheduled maintenance | `ENABLE_SCHEDULED_EVENT_DRAINING` | marks and drain, `MAINTENANCE_LEAD_TIMES` before it | the time that the event states |
| rebalance recommendation | `ENABLE_REBALANCE_MONITORING` | marks, for `REBALANCE_MARK_DURATION` | – |
| rebalance recommendation | `ENABLE_REBALANCE_DRAINING` | marks and drain, at once | `REBALANCE_PATIENCE`; budgets are never overridden |
| the Auto Scaling group ends the instance | `ENABLE_ASG_LIFECYCLE_DRAINING` | marks and drain, at once | `ASG_LIFECYCLE_WINDOW` after it is first seen |

`CORDON_ONLY` makes each of these marks only. With all kinds off and no `NOTICE_URL` the program does not
start: nothing would ever be done.

A lead time of `MAINTENANCE_LEAD_TIMES` holds for the codes that the list names. For the others it is
`NODE_TERMINATION_GRACE_PERIOD`, if that is set to anything but `120`; else the default. (`120` stands in
every manifest of aws-node-termination-handler, whether or not anybody chose it.) No lead time may be as
short as `SAFETY_MARGIN`.

",
    ),
    (
        "Marks on the node",
        "\
A node that is to go is cordoned. These add to that; what was added is taken back if the node stays after
all.

With the effect `NoExecute` it is Kubernetes that ends the pods that do not tolerate the taint: at once, and
past their budgets. A remark at start says so. There is no setting for the out-of-service taint: on a node
that still runs it corrupts volumes.

`LOAD_BALANCER_HOLD` gives load balancers time to notice the label while the pods still answer. It is taken
from what the deadline leaves, which moves for nobody.

",
    ),
    (
        "The drain",
        "\
Who goes is as with `kubectl drain`. A pod that cannot be evicted, because of its budget or
for any other reason, is retried until the last moment at which it still gets its whole grace period before the deadline, less `SAFETY_MARGIN`;
`BUDGET_OVERRIDE` says what happens then.

`NODE_SHUTDOWN_GRACE_PERIOD` is for nodes on which the kubelet does a [graceful node
shutdown](https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/): when the instance shuts down, at
the time that the notice states, the kubelet delays that and lets running pods end. Grace periods are then cut, and
budgets overridden, against the deadline plus this time. Requests end at the deadline all the same. Set it to the
kubelet's `shutdownGracePeriod` less its `shutdownGracePeriodCriticalPods`, at most. The images of EKS for Kubernetes
1.34 and later (Amazon Linux 2023) and of Bottlerocket have 150 s and 30 s, so it is `120s` there. EC2 promises no time
after a notice's: try it with an interruption of your own before you rely on it. On nodes without graceful node
shutdown leave it at `0s`, or pods lose grace that they could have had.

",
    ),
    (
        "The API server",
        "\
In a pod these need no attention. From outside the cluster `--kubeconfig` or `--server` says where it is. No
proxy is ever used for it, nor for the metadata service.

",
    ),
    (
        "The log",
        "\
The log goes to standard error. On a terminal the levels have colours. `docs/reports.md` has every line
that it may hold, and the fields of the JSON form.

",
    ),
    (
        "Kubernetes Events",
        "\
`kubectl describe node` shows them, and `kubectl describe pod` that a pod was deleted because it could not be
evicted. The
ServiceAccount needs `create` and `patch` on `events`. Each Event has annotations that tell of the instance.

",
    ),
    (
        "Webhooks",
        "\
A message when a drain begins, one when it ends, and one when a node is only marked. `docs/reports.md` has the
fields of templates, and what each form is for. Messages that do not get through are tried again, for an hour at
most; no drain waits for them. `WEBHOOK_PROXY` and the other proxies count for all of them, the other settings
for `WEBHOOK_URL`.

The proxies of the environment are obeyed as curl and programs in Go obey them, where `WEBHOOK_PROXY` is unset:
`HTTPS_PROXY` for `https://`, `HTTP_PROXY` for `http://`, else `ALL_PROXY`; lower-case names work, too. Only plain
HTTP proxies are supported. If the environment names another one (`https://`, SOCKS), the messages that need it are
not sent, and the log says so: no message bypasses a proxy.

`NO_PROXY` is a list with commas or spaces: `example.com` and `.example.com` match the domain and its subdomains,
`*.example.com` only the subdomains, `10.0.0.1` and `[fd00::1]` an address, `10.0.0.0/8` a network, `*` everything.
Domains and addresses may have a `:PORT`. Names are not resolved. `localhost` and loopback addresses never use a
proxy of the environment. Where curl and Go differ, the entry matches: `.example.com` matches `example.com` itself
with curl only.

A template is text with `{{ .Field }}` in it; anything else of Go's template language is an error in the log at
the start, which names the place and what to write instead, and the default message is sent. If the header
`Content-Type` says JSON, as it does by default, the template must be JSON, and values are escaped for it. If it says
`application/x-www-form-urlencoded`, values are percent-encoded, and what stands around them is sent as it is. With
any other type values stand in the text as they are.

Files are looked at when the program starts and before each message, and while something is missing once a
minute. Without a template the default message is sent, without headers the message goes without them (one that is
refused then is tried again). Without URL or CA nothing is sent: no other CA is believed in its place. So it is
with a `WEBHOOK_PROXY` that is not valid: nothing goes past a proxy.

`SLACK_URL`, `HANGOUTS_URL`, `WECHAT_URL` and `SEMATEXT_URL` are names of k8s-spot-handler before this program. Each
gets a message in the form of its service, besides what goes to `WEBHOOK_URL`.

",
    ),
    (
        "Metrics and probes",
        "\
Both are off unless switched on. Each has a port of its own, or both the same. With the network of the host
these are ports of the node: whoever reaches the node reaches them, unless `LISTEN_ADDRESS` is one that only
the scraper reaches. The kubelet probes the pod's address, which is then the node's. A port that is taken is an
error in the log, and tried again; notices are heard all the same. (The kubelet, which is then answered by somebody
else or nobody, may start the handler anew: give it a port that is free.)

",
    ),
    (
        "By hand",
        "\
Of the commands `check`, `plan` and `drain` ([by-hand.md](by-hand.md)). Their variables begin with the program's
name: what a shell calls `OUTPUT`, `DEADLINE` or `SERVER` is not meant.

",
    ),
];

const FORMER_NAMES: &str = "\
## Names of other handlers without effect

Names that manifests of aws-node-termination-handler, and of k8s-spot-handler and
kube-spot-termination-notice-handler before this program, have, and that change nothing here. They are
accepted, as variables and as flags. Where a value asks for something else than what is done here anyway,
that is said once at start, without the value.

| Name | Said if the value is | What is so instead |
|---|---|---|
";
