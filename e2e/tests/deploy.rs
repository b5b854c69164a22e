//! What `deploy/` becomes, without a cluster: the chart, the overlays and the plain manifest, held against
//! each other and against the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::Binaries;
use e2e::handler;
use e2e::rendering::{self, MATRIX, Rendering, deploy, environment, only};
use serde_json::{Value, json};

/// Release and namespace with which the chart's names are those of kustomize.
const RELEASE: &str = "k8s-spot-handler";
const NAMESPACE: &str = "kube-system";

/// What the manifest sets by itself, from the downward API.
const OWN: [&str; 3] = ["NODE_NAME", "POD_NAME", "NAMESPACE"];

/// What is of no use to the DaemonSet: settings of commands that somebody runs by hand.
const BY_HAND: [&str; 4] = [
    "K8S_SPOT_HANDLER_SERVER",
    "KUBECONFIG",
    "K8S_SPOT_HANDLER_DEADLINE",
    "K8S_SPOT_HANDLER_OUTPUT",
];

#[test]
fn helm_lint_has_no_objection() -> Result<()> {
    let mut command = Command::new(binaries()?.helm());
    let output = command.args(["lint", "--strict"]).arg(chart()?).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn the_chart_has_the_programs_version() -> Result<()> {
    let version = version()?;
    let chart = fs::read_to_string(chart()?.join("Chart.yaml"))?;
    for name in ["version", "appVersion"] {
        let line = format!("{name}: {version}");
        ensure!(chart.lines().any(|found| found == line), "Chart.yaml has no line {line:?}");
    }
    Ok(())
}

#[test]
fn every_rendering_is_accepted_by_the_program() -> Result<()> {
    for rendering in MATRIX {
        let objects = rendered(rendering)?;
        accepts(&environment(&objects)?).with_context(|| rendering.name)?;
    }
    Ok(())
}

#[test]
fn values_yaml_says_of_every_setting_what_the_program_says() -> Result<()> {
    let values = fs::read_to_string(chart()?.join("values.yaml"))?;
    let told = told_in(&values);
    let mut faults = Vec::new();
    for setting in settings()? {
        let wanted = format!("{}: {} ({})", setting.variable, setting.help, setting.default);
        if !told.contains_key(&wanted) {
            faults.push(wanted);
        }
    }
    ensure!(faults.is_empty(), "values.yaml lacks these comments with a value below: {faults:#?}");
    // And of nothing else: a setting that is gone.
    let known: BTreeSet<_> = settings()?.into_iter().map(|setting| setting.variable).collect();
    for comment in told.keys() {
        let Some((variable, _)) = comment.split_once(": ") else { continue };
        let is_variable =
            variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        ensure!(!is_variable || known.contains(variable), "{variable} is no setting");
    }
    Ok(())
}

#[test]
fn every_value_becomes_its_variable_alone_and_the_program_takes_it() -> Result<()> {
    for (setting, value) in values_of_settings()? {
        let sample = sample(&setting);
        let objects =
            render(&["--set-string".to_owned(), format!("{value}={}", escaped(&sample))])?;
        let given: Vec<_> = environment(&objects)?
            .into_iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .collect();
        ensure!(given == [(setting.variable.clone(), sample)], "{value}: {given:?}");
        let settings = accepts(&environment(&objects)?).with_context(|| value.clone())?;
        let from = format!("environment {}", setting.variable);
        let line =
            settings.lines().find(|line| line.starts_with(&format!("{} ", setting.variable)));
        ensure!(line.is_some_and(|line| line.contains(&from)), "{value}: {line:?}");
    }
    Ok(())
}

#[test]
fn a_value_that_is_not_set_sets_no_variable() -> Result<()> {
    let names: Vec<_> = environment(&render(&[])?)?.into_iter().map(|(name, _)| name).collect();
    ensure!(names == OWN, "{names:?}");
    // A template that knows no value writes null or an empty text; false is a value.
    let set = "pollInterval=null,dryRun=,cordonOnly=false,podTerminationGracePeriod=0".to_owned();
    let given = environment(&render(&["--set".to_owned(), set])?)?;
    let given: Vec<_> =
        given.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())).collect();
    let wanted = [("CORDON_ONLY", "false"), ("POD_TERMINATION_GRACE_PERIOD", "0")];
    ensure!(given == wanted.map(|(name, value)| (name.to_owned(), value.to_owned())), "{given:?}");
    Ok(())
}

#[test]
fn null_is_as_good_as_not_set() -> Result<()> {
    let schema: Value = serde_json::from_slice(&fs::read(chart()?.join("values.schema.json"))?)?;
    let mut paths = Vec::new();
    for (name, part) in schema["properties"].as_object().context("no properties")? {
        paths.push(name.clone());
        for (inner, part) in part["properties"].as_object().into_iter().flatten() {
            let path = format!("{name}.{inner}");
            let deeper = part["properties"].as_object().into_iter().flatten();
            // A probe may have any other field, and none of this one.
            if path != "readinessProbe.httpGet" {
                paths.extend(deeper.map(|(name, _)| format!("{path}.{name}")));
                paths.push(path);
            }
        }
    }
    ensure!(paths.len() > 150, "{paths:?}");
    // Where nothing is switched on, and where everything is that reads more values.
    let everything = [
        "enablePrometheusServer=true",
        "enableProbesServer=true",
        "podMonitor.create=true",
        "prometheusRule.create=true",
        "dashboard.create=true",
        "webhookURLSecretName=url",
        "webhookHeadersSecretName=headers",
        "webhookCAConfigMapName=ca",
        "webhookRoutingKeySecretName=key",
    ];
    let template = |sets: &[&str]| {
        let arguments = ["--kube-version", "1.37.2", "--set", &sets.join(",")].map(str::to_owned);
        rendering::helm_template(binaries()?, &chart()?, RELEASE, NAMESPACE, &arguments)
    };
    for base in [&[][..], &everything] {
        let mut known = BTreeMap::new();
        for path in &paths {
            let is_other = |set: &&str| {
                let (name, _) = set.split_once('=').unwrap_or_default();
                name != path && !name.starts_with(&format!("{path}."))
            };
            let sets: Vec<_> = base.iter().copied().filter(is_other).collect();
            let null = format!("{path}=null");
            let given = template(&[&sets[..], &[&null]].concat()).with_context(|| null.clone())?;
            let wanted = match known.get(&sets) {
                Some(wanted) => wanted,
                None => known.entry(sets.clone()).or_insert(template(&sets)?),
            };
            ensure!(given == *wanted, "{null}, with {base:?}: {given}");
        }
    }
    // All at once.
    let nulls: Vec<_> = paths.iter().filter(|path| !path.contains('.')).collect();
    let nulls: Vec<_> = nulls.iter().map(|path| format!("{path}=null")).collect();
    let nulls: Vec<_> = nulls.iter().map(String::as_str).collect();
    ensure!(template(&nulls)? == template(&[])?);
    Ok(())
}

#[test]
fn what_extra_env_says_counts_throughout() -> Result<()> {
    let extra = |variables: &[(&str, &str)], set: &str| {
        let mut all = vec![set.to_owned()];
        for (index, (name, value)) in variables.iter().enumerate() {
            all.push(format!("extraEnv[{index}].name={name}"));
            all.push(format!("extraEnv[{index}].value={value}"));
        }
        all.retain(|set| !set.is_empty());
        ["--set-string".to_owned(), all.join(",")]
    };
    let kinds = |objects: &[Value], kind: &str| {
        objects.iter().filter(|object| object["kind"] == kind).count()
    };
    // Everything but where it says so.
    let same = |variables: &[(&str, &str)], set: &str| -> Result<()> {
        let without_environment = |mut objects: Vec<Value>| {
            for object in &mut objects {
                if object["kind"] == "DaemonSet" {
                    object["spec"]["template"]["spec"]["containers"][0]["env"] = Value::Null;
                }
            }
            objects
        };
        let by_environment = without_environment(render(&extra(variables, ""))?);
        let by_value = without_environment(render(&["--set".to_owned(), set.to_owned()])?);
        ensure!(by_environment == by_value, "{variables:?}, {set}: {by_environment:#?}");
        Ok(())
    };
    same(&[("IDENTITY", "service-account")], "identity=service-account")?;
    same(&[("TAINT_NODE", "true")], "taintNode=true")?;
    same(&[("REBALANCE_MARK", "soft-taint")], "rebalanceMark=soft-taint")?;
    same(&[("EMIT_KUBERNETES_EVENTS", "1")], "emitKubernetesEvents=true")?;
    same(
        &[("ENABLE_PROMETHEUS_SERVER", "true"), ("PROMETHEUS_SERVER_PORT", "9900")],
        "enablePrometheusServer=true,prometheusServerPort=9900",
    )?;
    same(
        &[
            ("ENABLE_PROBES_SERVER", "true"),
            ("PROBES_SERVER_PORT", "8081"),
            ("PROBES_SERVER_ENDPOINT", "/alive"),
            ("LISTEN_ADDRESS", "127.0.0.1"),
        ],
        "enableProbesServer=true,probes.httpGet.port=8081,probes.httpGet.path=/alive,listenAddress=127.0.0.1",
    )?;
    // Of a name that is there twice Kubernetes takes the last.
    same(&[("TAINT_NODE", "true"), ("TAINT_NODE", "false")], "taintNode=false")?;

    // It comes before the value, in both directions.
    let off = [("ENABLE_PROMETHEUS_SERVER", "false"), ("ENABLE_PROBES_SERVER", "false")];
    let set = "enablePrometheusServer=true,enableProbesServer=true,podMonitor.create=true";
    let objects = render(&["--set".to_owned(), set.to_owned()])?;
    ensure!(kinds(&objects, "PodMonitor") == 1);
    let mut arguments = extra(&off, "").to_vec();
    arguments.extend(["--set".to_owned(), set.to_owned()]);
    let objects = render(&arguments)?;
    let container = &pod_of(&objects)?["containers"][0];
    ensure!(container["ports"].is_null() && container["livenessProbe"].is_null(), "{container}");
    ensure!(kinds(&objects, "PodMonitor") == 0);
    let objects = render(&extra(&[("TAINT_NODE", "false")], "taintNode=true"))?;
    ensure!(kinds(&objects, "ClusterRole") == 1, "a right to taints that it does not set");
    let wrong = render(&extra(&[("IDENTITY", "node")], "rbac.flavour=classic"));
    let wrong = wrong.err().context("an identity without rights is accepted")?;
    ensure!(format!("{wrong:#}").contains("which has no rights with"), "{wrong:#}");

    // What cannot be known here.
    let elsewhere = |name: &str, path: &str| {
        let field = format!("extraEnv[0].valueFrom.fieldRef.fieldPath={path}");
        render(&["--set".to_owned(), format!("extraEnv[0].name={name},{field}")])
    };
    let refusal = elsewhere("TAINT_NODE", "metadata.name").err().context("it is accepted")?;
    ensure!(format!("{refusal:#}").contains("not valueFrom"), "{refusal:#}");
    // The address of the pod is the one that the kubelet asks anyway.
    elsewhere("LISTEN_ADDRESS", "status.podIP")?;
    elsewhere("CLUSTER", "spec.nodeName")?;
    Ok(())
}

#[test]
fn a_typing_error_in_a_name_is_refused() -> Result<()> {
    let ours = values_of_settings()?.into_iter().map(|(_, value)| value);
    let others =
        ["rbac.flavour", "rbac.policies", "podMonitor.create", "image.repository", "spotNodesOnly"];
    for value in ours.chain(others.map(str::to_owned)) {
        // A probe may have any field that Kubernetes knows.
        if value.starts_with("probes.") {
            continue;
        }
        let wrong = format!("{value}e");
        let refusal = refused(&format!("{wrong}=1"))?;
        let name = wrong.rsplit('.').next().unwrap_or_default();
        ensure!(refusal.contains(&format!("'{name}' not allowed")), "{wrong}: {refusal}");
    }
    Ok(())
}

#[test]
fn what_the_schema_refuses_the_program_would_refuse() -> Result<()> {
    let bad = [
        ("pollInterval", "3d"),
        ("rebalancePatience", "90"),
        ("safetyMargin", "1.5s"),
        ("podTerminationGracePeriod", "long"),
        ("nodeTerminationGracePeriod", "-1"),
        ("dryRun", "yes"),
        ("taintNode", "on"),
        ("taintEffect", "NoShedule"),
        ("rebalanceMark", "softtaint"),
        ("budgetOverride", "always"),
        ("logLevel", "loud"),
        ("identity", "nodes"),
        ("webhookForm", "mattermost"),
        ("webhookURL", "hooks.example.com"),
        ("noticeURL", "https://example.com/notice"),
        ("webhookCAFile", "ca.crt"),
        ("prometheusServerPort", "http"),
    ];
    let variables: BTreeMap<_, _> = values_of_settings()?
        .into_iter()
        .map(|(setting, value)| (value, setting.variable))
        .collect();
    for (value, text) in bad {
        refused(&format!("{value}={text}"))?;
        let variable = variables.get(value).with_context(|| format!("no value {value}"))?;
        let output = printed(&[(variable.clone(), text.to_owned())])?;
        ensure!(output.status.code() == Some(64), "the program takes {variable}={text}");
    }
    for set in ["rbac.flavour=open", "useHostNetwork=perhaps", "image.tag=x,image.repository="] {
        refused(set)?;
    }
    Ok(())
}

#[test]
fn what_the_program_takes_the_schema_takes() -> Result<()> {
    let good = [
        ("dryRun", "T"),
        ("verbose", "2"),
        ("logLevel", "WARNING"),
        ("pollInterval", "2"),
        ("nodeTerminationGracePeriod", "1m30s"),
        ("podTerminationGracePeriod", "-1"),
        ("gracePeriod", "30"),
        ("webhookURL", "http://hooks.example.com/x"),
    ];
    for (value, text) in good {
        let objects = render(&["--set".to_owned(), format!("{value}={text}")]).context(value)?;
        accepts(&environment(&objects)?).context(value)?;
    }
    // Lists and headers as maps.
    let set = "maintenanceLeadTimes.instance-stop=2h,maintenanceLeadTimes.system-reboot=5m,\
               webhookHeaders.Authorization=Bearer x,kubernetesEventsExtraAnnotations.team=a";
    let given = environment(&render(&["--set".to_owned(), set.to_owned()])?)?;
    for (name, value) in [
        ("MAINTENANCE_LEAD_TIMES", "instance-stop=2h,system-reboot=5m"),
        ("WEBHOOK_HEADERS", r#"{"Authorization":"Bearer x"}"#),
        ("KUBERNETES_EVENTS_EXTRA_ANNOTATIONS", "team=a"),
    ] {
        ensure!(given.contains(&(name.to_owned(), value.to_owned())), "{name}: {given:?}");
    }
    accepts(&given)?;
    Ok(())
}

#[test]
fn the_predecessors_values_give_the_environment_of_its_own_manifest() -> Result<()> {
    let fixture = "../tests/fixtures/environment/aws-node-termination-handler.env";
    let fixture = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture))?;
    // The chart's own, or without effect here.
    let not_here = [
        "LOG_FORMAT_VERSION",
        "METADATA_TRIES",
        "ENABLE_OUT_OF_SERVICE_TAINT",
        "ENABLE_SQS_TERMINATION_DRAINING",
        "UPTIME_FROM_FILE",
    ];
    let wanted: BTreeMap<_, _> = fixture
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| !OWN.contains(name) && !not_here.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let objects = rendered(named("predecessor")?)?;
    let mut given: BTreeMap<_, _> = environment(&objects)?.into_iter().collect();
    given.retain(|name, _| !OWN.contains(&name.as_str()));
    ensure!(given == wanted, "given {given:#?}, wanted {wanted:#?}");
    let pod = pod_of(&objects)?;
    ensure!(pod["priorityClassName"] == "system-node-critical", "{pod}");
    ensure!(pod["securityContext"]["fsGroup"] == 1000, "{pod}");
    let container = &pod["containers"][0];
    ensure!(container["securityContext"]["runAsUser"] == 1000, "{container}");
    ensure!(container["resources"]["limits"]["memory"] == "16Mi", "{container}");
    Ok(())
}

#[test]
fn what_a_user_changed_there_is_so_here() -> Result<()> {
    let objects = rendered(named("predecessor-changed")?)?;
    let settings = accepts(&environment(&objects)?)?;
    let pod = pod_of(&objects)?;
    let container = &pod["containers"][0];
    let image = format!("registry.example.com/k8s-spot-handler:{}", version()?);
    ensure!(container["image"] == image, "{container}");
    ensure!(pod["imagePullSecrets"] == json!([{"name": "registry"}]), "{pod}");
    ensure!(pod["nodeSelector"]["node-role.kubernetes.io/spot-worker"] == "true", "{pod}");
    ensure!(pod["serviceAccountName"] == "spot", "{pod}");
    // Theirs as a whole: their request is more than the limit here.
    let resources = json!({"requests": {"cpu": "50m", "memory": "64Mi"}});
    ensure!(container["resources"] == resources, "{container}");
    let probe = &container["livenessProbe"];
    ensure!(probe["httpGet"] == json!({"path": "/alive", "port": 8081}), "{probe}");
    ensure!(probe["timeoutSeconds"] == 2, "{probe}");
    let environment = environment(&objects)?;
    let value = |name: &str| {
        let found: Vec<_> = environment.iter().filter(|(known, _)| known == name).collect();
        found.first().map(|(_, value)| (found.len(), value.as_str()))
    };
    for (name, wanted) in [
        ("WEBHOOK_URL_FILE", "/etc/k8s-spot-handler/webhook-url/webhookurl"),
        ("WEBHOOK_TEMPLATE_FILE", "/etc/k8s-spot-handler/webhook-template/message.tpl"),
        ("POD_TERMINATION_GRACE_PERIOD", "60"),
        ("CLUSTER", "production"),
        // By extraEnv, which comes last.
        ("JSON_LOGGING", "false"),
    ] {
        ensure!(value(name) == Some((1, wanted)), "{name}: {:?}", value(name));
    }
    ensure!(!settings.contains("Set, but without effect"), "{settings}");
    let monitor = only(&objects, "PodMonitor")?;
    ensure!(monitor["metadata"]["labels"]["release"] == "prometheus", "{monitor}");
    ensure!(monitor["spec"]["podMetricsEndpoints"][0]["interval"] == "5s", "{monitor}");
    Ok(())
}

#[test]
fn names_of_that_charts_older_releases_count_too() -> Result<()> {
    let set = "probes=null,readinessProbe=null,enableProbesServer=true,probesServerPort=8081,\
               probesServerEndpoint=/alive,gracePeriod=30,securityContext.runAsUserID=1000,\
               linuxNodeSelector.pool=spot,nodeSelector.pool=other,linuxPodLabels.tier=node,\
               linuxUpdateStrategy.type=OnDelete,priorityClassName=mine,image.pullSecrets[0]=registry";
    let objects = render(&["--set".to_owned(), set.to_owned()])?;
    let settings = accepts(&environment(&objects)?)?;
    let line = |name: &str| {
        let line = settings.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    ensure!(line("PROBES_SERVER_PORT").contains(" 8081 "), "{settings}");
    ensure!(line("PROBES_SERVER_ENDPOINT").contains(" /alive "), "{settings}");
    ensure!(line("POD_TERMINATION_GRACE_PERIOD").contains(" 30 "), "{settings}");
    let pod = pod_of(&objects)?;
    let container = &pod["containers"][0];
    ensure!(container["livenessProbe"]["httpGet"] == json!({"path": "/alive", "port": 8081}));
    ensure!(container["securityContext"]["runAsUserID"].is_null(), "{container}");
    ensure!(container["securityContext"]["readOnlyRootFilesystem"] == true, "{container}");
    ensure!(pod["nodeSelector"] == json!({"kubernetes.io/os": "linux", "pool": "spot"}), "{pod}");
    ensure!(pod["priorityClassName"] == "mine", "{pod}");
    let set = only(&objects, "DaemonSet")?;
    ensure!(set["spec"]["updateStrategy"] == json!({"type": "OnDelete"}), "{set}");
    ensure!(set["spec"]["template"]["metadata"]["labels"]["tier"] == "node", "{set}");
    Ok(())
}

#[test]
fn what_the_docs_tell_to_set_exists() -> Result<()> {
    let root = deploy()?.join("..");
    let settings = fs::read_to_string(root.join("docs/settings.md"))?;
    let mut sets = 0;
    for page in ["docs/install.md", "docs/migrating.md", "README.md"] {
        let text = fs::read_to_string(root.join(page))?;
        for line in text.lines() {
            for argument in line.split("--set ").skip(1) {
                let argument = argument.split([' ', '`']).next().unwrap_or_default();
                let argument = argument.replace("\\\\", "\\");
                render(&["--set".to_owned(), argument]).with_context(|| page.to_owned())?;
                sets += 1;
            }
            for path in line.split("deploy/").skip(1) {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
                let path = path.split(|c| !is_part(c)).next().unwrap_or_default();
                let path = path.trim_end_matches('.');
                ensure!(deploy()?.join(path).exists(), "{page}: there is no deploy/{path}");
            }
        }
        for word in text.split('`').skip(1).step_by(2) {
            let name = word.split('=').next().unwrap_or_default();
            let is_variable = name.contains('_')
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            // A kind of notice, as messages name it, and what `cross` reads.
            if is_variable && !["SPOT_ITN", "CROSS_CONFIG"].contains(&name) {
                ensure!(
                    settings.contains(&format!("`{name}`")),
                    "{page}: there is no setting {name}"
                );
            }
        }
    }
    ensure!(sets > 10, "{sets}");
    Ok(())
}

#[test]
fn what_would_do_harm_is_refused_with_a_reason() -> Result<()> {
    let queue = refused("enableSqsTerminationDraining=true")?;
    ensure!(queue.contains("there is no queue mode here"), "{queue}");
    let account = refused("serviceAccount.create=false")?;
    ensure!(account.contains("which account is to have the rights"), "{account}");
    let image = refused("image.repository=public.ecr.aws/aws-ec2/aws-node-termination-handler")?;
    ensure!(image.contains("say where the image of k8s-spot-handler is"), "{image}");
    Ok(())
}

#[test]
fn the_schema_knows_every_value_that_has_no_effect() -> Result<()> {
    let names = fs::read_to_string(chart()?.join("templates/_settings.tpl"))?;
    let (_, names) = names.split_once("without-effect\" -}}\n").context("no such part")?;
    let names = names.lines().take_while(|line| !line.starts_with("{{"));
    let schema: Value = serde_json::from_slice(&fs::read(chart()?.join("values.schema.json"))?)?;
    let mut count = 0;
    for name in names {
        let (path, _) = name.split_once(": ").context("a line without a value")?;
        let name = path.split('.').next().unwrap_or_default();
        ensure!(schema["properties"].get(name).is_some(), "{name}");
        count += 1;
    }
    ensure!(count > 30, "{count}");
    Ok(())
}

#[test]
fn the_chart_grants_what_kustomize_grants() -> Result<()> {
    for (name, overlay) in [
        ("defaults-1.30", "."),
        ("defaults-1.34", "."),
        ("classic", "."),
        ("defaults-1.36", "overlays/confined"),
        ("defaults", "overlays/confined"),
        ("confined-taints", "overlays/confined-taints"),
        ("confined-soft-taint", "overlays/confined-taints"),
    ] {
        let chart = rights(&rendered(named(name)?)?);
        let mut kustomize = rights(&kustomized(overlay)?);
        // kustomize has one role for all settings; the chart leaves out what is for Events that nobody switched on.
        let with_events = ["--set".to_owned(), "emitKubernetesEvents=true".to_owned()];
        let with_events = [&named(name)?.arguments()[..], &with_events].concat();
        ensure!(rights(&render(&with_events)?) == kustomize, "{name}, with Events");
        without_events(&mut kustomize)?;
        let keys: BTreeSet<_> = chart.keys().chain(kustomize.keys()).collect();
        for key in keys {
            let (here, there) = (chart.get(key), kustomize.get(key));
            ensure!(here == there, "{name}, {key}: {here:#?}, {overlay}: {there:#?}");
        }
        ensure!(chart.len() >= 2, "{name}: {chart:#?}");
    }
    // Without policies: those alone are left out.
    for name in ["defaults-1.29", "classic-alone"] {
        let mut wanted = rights(&kustomized(".")?);
        without_events(&mut wanted)?;
        wanted.retain(|key, _| !key.starts_with("ValidatingAdmissionPolicy"));
        ensure!(rights(&rendered(named(name)?)?) == wanted, "{name}");
    }
    ensure!(rights(&rendered(named("no-rights")?)?).is_empty());
    Ok(())
}

#[test]
fn the_flavour_goes_by_the_clusters_version() -> Result<()> {
    for (version, confined) in [
        ("1.35.9", false),
        ("v1.35.4-eks-1a2b3c4", false),
        ("v1.36.0-eks-1a2b3c4", true),
        ("v1.37.2+k3s1", true),
    ] {
        let objects = render(&["--kube-version".to_owned(), version.to_owned()])?;
        let role = only(&objects, "ClusterRole")?.to_string();
        ensure!(role.contains("impersonate-on:associated-node") == confined, "{version}: {role}");
    }
    // Each flavour has rights for one identity.
    let objects = render(&["--set".to_owned(), "identity=service-account".to_owned()])?;
    ensure!(only(&objects, "ClusterRole")?.to_string().contains("pods/eviction"));
    ensure!(!only(&objects, "ClusterRole")?.to_string().contains("impersonate"));
    for set in
        ["identity=service-account,rbac.flavour=confined", "identity=node,rbac.flavour=classic"]
    {
        let refusal = refused(set)?;
        ensure!(refusal.contains("which has no rights with"), "{refusal}");
    }
    Ok(())
}

#[test]
fn another_release_in_another_namespace_names_itself_throughout() -> Result<()> {
    for set in [
        "rbac.flavour=classic",
        "rbac.flavour=confined,taintNode=true",
        "rbac.flavour=classic,serviceAccount.name=mine,fullnameOverride=drainer",
    ] {
        let arguments = ["--kube-version", "1.37.2", "--set", set].map(str::to_owned);
        let text =
            rendering::helm_template(binaries()?, &chart()?, "blue", "spot-system", &arguments)?;
        let objects = objects(&text)?;
        let account = only(&objects, "ServiceAccount")?["metadata"]["name"].clone();
        let user =
            format!("system:serviceaccount:spot-system:{}", account.as_str().unwrap_or_default());
        let names = |kind: &str| -> BTreeSet<String> {
            let of_kind = objects.iter().filter(|object| object["kind"] == kind);
            of_kind.map(|object| object["metadata"]["name"].to_string()).collect()
        };
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let own = ["blue-k8s-spot-handler", "drainer", "mine"];
            ensure!(own.iter().any(|own| name.starts_with(own)), "{set}: {name}");
            let spec = &object["spec"];
            match object["kind"].as_str() {
                Some("ClusterRoleBinding") => {
                    let subject = json!([{"kind": "ServiceAccount", "name": account, "namespace": "spot-system"}]);
                    ensure!(object["subjects"] == subject, "{object}");
                    ensure!(
                        names("ClusterRole").contains(&object["roleRef"]["name"].to_string()),
                        "{object}"
                    );
                }
                Some("ValidatingAdmissionPolicy") => {
                    let expression =
                        spec["matchConditions"][0]["expression"].as_str().unwrap_or_default();
                    ensure!(
                        expression == format!("request.userInfo.username == '{user}'"),
                        "{object}"
                    );
                    // What the handler writes is called the same everywhere.
                    let text = object.to_string();
                    ensure!(!text.contains("blue-k8s-spot-handler/state"), "{text}");
                }
                Some("ValidatingAdmissionPolicyBinding") => {
                    let policy = spec["policyName"].to_string();
                    ensure!(names("ValidatingAdmissionPolicy").contains(&policy), "{object}");
                }
                Some("DaemonSet") => {
                    ensure!(spec["template"]["spec"]["serviceAccountName"] == account, "{object}");
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[test]
fn the_chart_runs_what_kustomize_runs() -> Result<()> {
    for (set, overlay) in [
        ("", "."),
        ("spotNodesOnly=true", "overlays/spot"),
        ("nodeSelector.kubernetes\\.io/arch=arm64", "overlays/graviton"),
        ("enablePrometheusServer=true", "overlays/metrics"),
        ("dryRun=true", "overlays/dry-run"),
        ("taintNode=true", "overlays/confined-taints"),
    ] {
        let chart = render(&["--set".to_owned(), set.to_owned()])?;
        let kustomize = kustomized(overlay)?;
        let spec = |objects: &[Value]| -> Result<Value> {
            let mut spec = only(objects, "DaemonSet")?["spec"].clone();
            // The chart's have the release besides.
            spec["selector"] = Value::Null;
            spec["template"]["metadata"] = Value::Null;
            let variables = spec["template"]["spec"]["containers"][0]["env"].as_array_mut();
            variables
                .context("no environment")?
                .sort_by_key(|variable| variable["name"].to_string());
            Ok(spec)
        };
        let (chart, kustomize) = (spec(&chart)?, spec(&kustomize)?);
        ensure!(chart == kustomize, "{overlay}: chart {chart:#}, kustomize {kustomize:#}");
    }
    Ok(())
}

#[test]
fn every_overlay_renders_what_the_program_takes() -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(deploy()?.join("overlays"))? {
        let name = entry?.file_name();
        let name = name.to_str().context("a name that is not UTF-8")?;
        let objects = kustomized(&format!("overlays/{name}"))?;
        accepts(&environment(&objects)?).with_context(|| name.to_owned())?;
        ensure!(!rights(&objects).is_empty(), "{name} has no rights");
        count += 1;
    }
    ensure!(count >= 6, "{count} overlays");
    Ok(())
}

#[test]
fn every_component_is_part_of_an_overlay() -> Result<()> {
    let mut used = String::new();
    for entry in fs::read_dir(deploy()?.join("overlays"))? {
        used += &fs::read_to_string(entry?.path().join("kustomization.yaml"))?;
    }
    for entry in fs::read_dir(deploy()?.join("components"))? {
        let name = entry?.file_name();
        let name = name.to_str().context("a name that is not UTF-8")?;
        ensure!(
            used.lines().any(|line| line.trim() == format!("- ../../components/{name}")),
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn the_plain_manifest_is_current() -> Result<()> {
    let fresh = scratch("k8s-spot-handler.yaml")?;
    let mut command = Command::new(deploy()?.join("generate"));
    let output = command.arg(&fresh).env("KUBECTL", binaries()?.kubectl()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shipped = fs::read_to_string(deploy()?.join("k8s-spot-handler.yaml"))?;
    let same = shipped == fs::read_to_string(fresh)?;
    ensure!(same, "deploy/k8s-spot-handler.yaml is not what deploy/generate makes: run it");
    Ok(())
}

#[test]
fn metrics_and_probes_have_ports_and_probes() -> Result<()> {
    let container = |name: &str| -> Result<Value> {
        Ok(pod_of(&rendered(named(name)?)?)?["containers"][0].clone())
    };
    let port =
        |name: &str, port: u16| json!({"name": name, "containerPort": port, "protocol": "TCP"});
    let plain = container("defaults")?;
    ensure!(plain["ports"].is_null() && plain["livenessProbe"].is_null(), "{plain}");
    // With the host's network the scheduler would keep the pod from a node where another has the port.
    let two = container("two-ports")?;
    for host in [&container("metrics")?, &container("one-port")?, &two] {
        ensure!(host["ports"].is_null(), "{host}");
    }
    let inside = |set: &str| -> Result<Value> {
        let both = "useHostNetwork=false,enablePrometheusServer=true,enableProbesServer=true";
        let rendered = render(&["--set".to_owned(), format!("{both}{set}")])?;
        Ok(pod_of(&rendered)?["containers"][0]["ports"].clone())
    };
    let ports = inside("")?;
    ensure!(ports == json!([port("http-metrics", 9092), port("http-probes", 8080)]), "{ports}");
    // The same port twice would be refused.
    let ports = inside(",prometheusServerPort=9000,probes.httpGet.port=9000")?;
    ensure!(ports == json!([port("http-metrics", 9000)]), "{ports}");
    // The kubelet would ask the pod's address, where nobody listens.
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let get = json!({"host": "127.0.0.1", "path": path, "port": 8080});
        ensure!(two[probe]["httpGet"] == get, "{probe}: {two}");
    }
    Ok(())
}

#[test]
fn monitoring_is_that_of_its_folder() -> Result<()> {
    let monitoring = deploy()?.join("monitoring");
    let shipped = |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(monitoring.join(name))?);
    let objects = rendered(named("monitoring")?)?;

    let map = only(&objects, "ConfigMap")?;
    let dashboard = map["data"]["k8s-spot-handler.json"].as_str().context("no dashboard")?;
    ensure!(dashboard == shipped("dashboard.json")?);
    ensure!(map["metadata"]["labels"]["grafana_dashboard"] == "1", "{map}");

    // As an object, so that kubectl reads it.
    let wrapped =
        format!("apiVersion: v1\nkind: Rules\nmetadata: {{name: x}}\n{}", shipped("rules.yaml")?);
    let rules = self::objects(&wrapped)?;
    let rule = only(&objects, "PrometheusRule")?;
    ensure!(rule["spec"]["groups"] == only(&rules, "Rules")?["groups"]);

    // The alert that looks for the DaemonSet finds it by whatever name.
    for (name, wanted) in [
        ("drainer", r#"created_by_name="drainer""#),
        ("blue-k8s-spot-handler", r#"created_by_name=~"(.+-)?k8s-spot-handler""#),
    ] {
        let set = format!("prometheusRule.create=true,fullnameOverride={name}");
        let objects = render(&["--set".to_owned(), set])?;
        let missing = &only(&objects, "PrometheusRule")?["spec"]["groups"][0]["rules"][0];
        ensure!(missing["alert"] == "K8sSpotHandlerMissing", "{missing}");
        ensure!(missing["expr"].as_str().is_some_and(|text| text.contains(wanted)), "{missing}");
    }

    let theirs = self::objects(&shipped("podmonitor.yaml")?)?;
    let ours = rendered(named("metrics")?)?;
    let (theirs, ours) = (only(&theirs, "PodMonitor")?, only(&ours, "PodMonitor")?);
    ensure!(theirs["spec"]["podMetricsEndpoints"] == ours["spec"]["podMetricsEndpoints"], "{ours}");
    ensure!(theirs["spec"]["jobLabel"] == ours["spec"]["jobLabel"], "{ours}");

    // Another port is scraped where it is.
    let set = "enablePrometheusServer=true,podMonitor.create=true,prometheusServerPort=9900";
    let moved = render(&["--set".to_owned(), set.to_owned()])?;
    let relabelings = &only(&moved, "PodMonitor")?["spec"]["podMetricsEndpoints"][0]["relabelings"];
    ensure!(
        relabelings[0]["replacement"] == "$1:9900" && relabelings[1]["replacement"] == "[$1]:9900"
    );
    Ok(())
}

#[test]
fn the_chart_holds_no_copies_and_its_package_is_whole() -> Result<()> {
    for entry in fs::read_dir(chart()?.join("files"))? {
        let path = entry?.path();
        ensure!(path.is_symlink() && path.exists(), "{} leads nowhere", path.display());
    }
    let folder = scratch("package")?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    let mut command = Command::new(binaries()?.helm());
    let output = command.arg("package").arg(chart()?).arg("--destination").arg(&folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let package = fs::read_dir(&folder)?.next().context("no package")??.path();
    for name in ["monitoring", "metrics", "classic", "confined-taints"] {
        let arguments = named(name)?.arguments();
        let packed =
            rendering::helm_template(binaries()?, &package, RELEASE, NAMESPACE, &arguments)?;
        let plain =
            rendering::helm_template(binaries()?, &chart()?, RELEASE, NAMESPACE, &arguments)?;
        ensure!(packed == plain, "{name}");
    }
    Ok(())
}

#[test]
fn the_chart_of_a_release_is_the_folder_with_the_image_in_it() -> Result<()> {
    let folder = scratch("release")?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    let image = "registry.example.com/k8s-spot-handler";
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut command = Command::new(deploy()?.join("../release/manifests"));
    let output = command.arg(&folder).arg(&digest).env("IMAGE", image).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let version = version()?;
    let package = folder.join(format!("k8s-spot-handler-{version}-chart.tgz"));
    let template = |chart: &Path, arguments: &[String], set: &str| {
        let more = ["--set".to_owned(), set.to_owned()];
        let arguments = [arguments, &more].concat();
        rendering::helm_template(binaries()?, chart, RELEASE, NAMESPACE, &arguments)
    };
    for name in ["monitoring", "defaults", "classic", "confined-taints"] {
        let arguments = named(name)?.arguments();
        let wanted = template(&chart()?, &arguments, &format!("image.repository={image}"))?;
        ensure!(template(&package, &arguments, "")? == wanted, "{name}");
        ensure!(template(&package, &arguments, "image.repository=null")? == wanted, "{name}");
    }
    let manifest = fs::read_to_string(folder.join(format!("k8s-spot-handler-{version}.yaml")))?;
    let mut given = objects(&manifest)?;
    let mut wanted = objects(&fs::read_to_string(deploy()?.join("k8s-spot-handler.yaml"))?)?;
    ensure!(pod_of(&given)?["containers"][0]["image"] == format!("{image}:{version}@{digest}"));
    for objects in [&mut given, &mut wanted] {
        for object in objects.iter_mut().filter(|object| object["kind"] == "DaemonSet") {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = Value::Null;
        }
    }
    ensure!(given == wanted);
    Ok(())
}

#[test]
fn the_docs_and_the_manifests_have_the_programs_version() -> Result<()> {
    let version = version()?;
    let root = deploy()?.join("..");
    let mut found = 0;
    for page in [
        "README.md",
        "docs/install.md",
        "deploy/base/daemonset.yaml",
        "deploy/base/kustomization.yaml",
        "deploy/k8s-spot-handler.yaml",
    ] {
        let text = fs::read_to_string(root.join(page))?;
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
        for word in words.map(|word| word.trim_matches('.')) {
            let parts: Vec<_> = word.split('.').collect();
            let is_number = |part: &&str| part.parse::<u16>().is_ok();
            // Nothing else on these pages has that form.
            if parts.len() == 3 && parts.iter().all(is_number) {
                ensure!(word == version, "{page}: {word}, and the program is {version}");
                found += 1;
            }
        }
    }
    ensure!(found >= 5, "{found}");
    Ok(())
}

/// One setting of `docs/settings.md`, which is made from the program's table.
struct Setting {
    variable: String,
    help: String,
    default: String,
}

/// All but those of the downward API, and those for commands that are run by hand.
fn settings() -> Result<Vec<Setting>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let page = fs::read_to_string(page)?;
    let mut found = Vec::new();
    for part in page.split("\n### ").skip(1) {
        let mut lines = part.lines();
        let variable = lines.next().and_then(|line| line.split('`').nth(1)).context("no name")?;
        let help = lines.nth(1).context("no help")?;
        let default =
            lines.find_map(|line| line.strip_prefix("- Default: ")).context("no default")?;
        let whole = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        found.push(Setting {
            variable: variable.to_owned(),
            help: help.to_owned(),
            default: whole.unwrap_or(default).to_owned(),
        });
    }
    ensure!(found.len() > 60, "only {} settings", found.len());
    for name in OWN.iter().chain(&BY_HAND) {
        let before = found.len();
        found.retain(|setting| setting.variable != *name);
        ensure!(found.len() == before - 1, "there is no setting {name}");
    }
    Ok(found)
}

/// The comments of values.yaml, each as one line, and the value below it with its path.
fn told_in(values: &str) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let mut comment = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        if let Some((name, _)) = text.split_once(':') {
            path.truncate((line.len() - text.len()) / 2);
            path.push(name);
            if !comment.is_empty() {
                told.insert(comment.join(" "), path.join("."));
            }
        }
        comment.clear();
    }
    told
}

/// Each setting with the path of its value, as values.yaml says.
fn values_of_settings() -> Result<Vec<(Setting, String)>> {
    let told = told_in(&fs::read_to_string(chart()?.join("values.yaml"))?);
    settings()?
        .into_iter()
        .map(|setting| {
            let start = format!("{}: ", setting.variable);
            let value = told.iter().find(|(comment, _)| comment.starts_with(&start));
            let (_, path) = value.with_context(|| format!("{start}no value in values.yaml"))?;
            Ok((setting, path.clone()))
        })
        .collect()
}

/// A value that the program takes.
fn sample(setting: &Setting) -> String {
    let text = match setting.variable.as_str() {
        "NOTICE_URL" | "AZ_URL" | "INSTANCE_ID_URL" | "INSTANCE_TYPE_URL" => "http://10.0.0.1/x",
        "WEBHOOK_URL" | "SLACK_URL" | "HANGOUTS_URL" | "WECHAT_URL" | "SEMATEXT_URL" => {
            "https://example.com/x"
        }
        "WEBHOOK_URL_FILE"
        | "WEBHOOK_HEADERS_FILE"
        | "WEBHOOK_TEMPLATE_FILE"
        | "WEBHOOK_CA_FILE" => "/run/file",
        "WEBHOOK_TEMPLATE" => r#"{"text":"{{ .NodeName }}, {{ .Kind }}"}"#,
        "WEBHOOK_ROUTING_KEY" => "0123456789abcdef0123456789abcdef",
        "WEBHOOK_PROXY" | "HTTPS_PROXY" | "HTTP_PROXY" | "ALL_PROXY" => {
            "http://proxy.example.com:3128"
        }
        "NO_PROXY" => ".svc,10.0.0.0/8",
        "KUBERNETES_SERVICE_HOST" => "10.96.0.1",
        "KUBERNETES_EVENTS_EXTRA_ANNOTATIONS" => "team=platform,cost-centre=7",
        "CLUSTER" | "SLACK_CHANNEL" | "WECHAT_KEY" => "blue",
        _ => &setting.default,
    };
    text.replace(", ", ",")
}

/// As `--set-string` takes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,").replace('{', "\\{").replace('}', "\\}")
}

/// Everything that grants or holds, by kind and name, without labels.
fn rights(objects: &[Value]) -> BTreeMap<String, Value> {
    let kinds = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    let mut found = BTreeMap::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if kinds.contains(&kind) {
            let mut object = object.clone();
            object["metadata"]["labels"] = Value::Null;
            without_blank_lines(&mut object);
            found.insert(format!("{kind} {}", object["metadata"]["name"]), object);
        }
    }
    found
}

/// Takes out the one rule about Events.
fn without_events(rights: &mut BTreeMap<String, Value>) -> Result<()> {
    let role = rights.get_mut("ClusterRole \"k8s-spot-handler\"").context("no role")?;
    let rules = role["rules"].as_array_mut().context("no rules")?;
    let before = rules.len();
    rules.retain(|rule| rule["resources"] != json!(["events"]));
    ensure!(rules.len() == before - 1, "the role has not one rule about Events");
    Ok(())
}

/// kustomize writes an empty line into folded text before lines that are indented.
fn without_blank_lines(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("\n\n", "\n"),
        Value::Array(items) => items.iter_mut().for_each(without_blank_lines),
        Value::Object(fields) => fields.values_mut().for_each(without_blank_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The program's.
fn version() -> Result<String> {
    let said = String::from_utf8(Command::new(program()?).arg("--version").output()?.stdout)?;
    Ok(said.trim().strip_prefix("k8s-spot-handler ").context("no version")?.to_owned())
}

fn pod_of(objects: &[Value]) -> Result<&Value> {
    Ok(&only(objects, "DaemonSet")?["spec"]["template"]["spec"])
}

/// What the program makes of this environment, if it would start with it.
fn accepts(environment: &[(String, String)]) -> Result<String> {
    let output = printed(environment)?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.is_empty(), "{environment:?}: {told}");
    Ok(String::from_utf8(output.stdout)?)
}

fn printed(environment: &[(String, String)]) -> Result<Output> {
    let mut command = Command::new(program()?);
    command.env_clear().env("KUBERNETES_SERVICE_HOST", "10.96.0.1").env("NODE_NAME", "node");
    for (name, value) in environment {
        // As if from the downward API, or a Secret.
        let known = match name.as_str() {
            "NODE_NAME" | "POD_NAME" | "NAMESPACE" => "some",
            "WEBHOOK_ROUTING_KEY" => "0123456789abcdef0123456789abcdef",
            _ => value,
        };
        command.env(name, known);
    }
    Ok(command.arg("--print-settings").output()?)
}

fn named(name: &str) -> Result<&'static Rendering> {
    MATRIX.iter().find(|one| one.name == name).with_context(|| format!("no rendering {name}"))
}

fn rendered(rendering: &Rendering) -> Result<Vec<Value>> {
    render(&rendering.arguments()).with_context(|| rendering.name)
}

/// For the newest Kubernetes, unless the arguments name another.
fn render(arguments: &[String]) -> Result<Vec<Value>> {
    let newest = ["--kube-version", "1.37.2"].map(str::to_owned);
    let arguments = [&newest, arguments].concat();
    let text = rendering::helm_template(binaries()?, &chart()?, RELEASE, NAMESPACE, &arguments)?;
    objects(&text)
}

/// What helm says when it refuses these values.
fn refused(set: &str) -> Result<String> {
    match render(&["--set".to_owned(), set.to_owned()]) {
        Ok(_) => bail!("{set} is accepted"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

fn kustomized(folder: &str) -> Result<Vec<Value>> {
    objects(&rendering::kustomize(binaries()?, &deploy()?.join(folder))?)
}

fn objects(manifest: &str) -> Result<Vec<Value>> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let file = scratch(&format!("manifest-{}.yaml", COUNT.fetch_add(1, Ordering::Relaxed)))?;
    let objects = rendering::objects(binaries()?, manifest, &file);
    fs::remove_file(file)?;
    objects
}

fn chart() -> Result<PathBuf> {
    Ok(deploy()?.join("chart"))
}

fn scratch(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}

/// Built once for all tests.
fn binaries() -> Result<&'static Binaries> {
    static BUILT: OnceLock<Result<Binaries, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| Binaries::build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn program() -> Result<&'static PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| handler::build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}
