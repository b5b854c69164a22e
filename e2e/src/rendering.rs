//! What helm and kustomize make of `deploy/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::Binaries;

/// How a chart is rendered.
#[derive(Clone, Copy, Debug)]
pub struct Rendering {
    /// A word for messages.
    pub name: &'static str,
    /// The Kubernetes that it is for.
    pub kubernetes: &'static str,
    /// What `--set` is given, with commas between.
    pub set: &'static str,
    /// A file below `tests/values`, or none.
    pub values: Option<&'static str>,
}

/// Values as the chart is tried with.
pub const MATRIX: &[Rendering] = &[
    rendering("defaults", "1.37.2", ""),
    rendering("defaults-1.36", "1.36.0", ""),
    rendering("defaults-1.34", "1.34.1", ""),
    rendering("defaults-1.30", "1.30.0", ""),
    rendering("defaults-1.29", "1.29.9", ""),
    rendering("classic", "1.37.2", "rbac.flavour=classic"),
    rendering("classic-alone", "1.37.2", "rbac.flavour=classic,rbac.policies=false"),
    rendering("confined-taints", "1.37.2", "taintNode=true"),
    rendering(
        "confined-soft-taint",
        "1.37.2",
        "rebalanceMark=soft-taint,enableRebalanceMonitoring=true",
    ),
    rendering(
        "no-rights",
        "1.37.2",
        "rbac.create=false,serviceAccount.create=false,serviceAccount.name=mine",
    ),
    rendering("spot-nodes", "1.37.2", "spotNodesOnly=true"),
    rendering("pod-network", "1.37.2", "useHostNetwork=false"),
    rendering(
        "metrics",
        "1.37.2",
        "enablePrometheusServer=true,podMonitor.create=true,podMonitor.sampleLimit=5000",
    ),
    rendering(
        "one-port",
        "1.37.2",
        "enablePrometheusServer=true,enableProbesServer=true,prometheusServerPort=9000,probes.httpGet.port=9000",
    ),
    rendering(
        "two-ports",
        "1.37.2",
        "enablePrometheusServer=true,enableProbesServer=true,listenAddress=127.0.0.1",
    ),
    rendering(
        "monitoring",
        "1.37.2",
        "prometheusRule.create=true,dashboard.create=true,dashboard.annotations.folder=nodes",
    ),
    rendering(
        "webhook",
        "1.37.2",
        "webhookURLSecretName=url,webhookHeadersSecretName=headers,webhookCAConfigMapName=ca,\
         webhookRoutingKeySecretName=key,webhookForm=pagerduty,webhookURL=https://not.example.com/",
    ),
    rendering(
        "everything-else",
        "1.37.2",
        "image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123,\
         image.pullSecrets[0].name=one,image.pullSecrets[1]=two,image.pullPolicy=Always,\
         nameOverride=spot,customLabels.team=platform,podLabels.tier=node,podAnnotations.note=yes,\
         nodeSelector.pool=spot,tolerations[0].key=spot,tolerations[0].operator=Exists,\
         priorityClassName=system-cluster-critical,dnsConfig.nameservers[0]=10.0.0.2,\
         terminationGracePeriodSeconds=90,updateStrategy.type=OnDelete,\
         extraEnv[0].name=LOG_LEVEL,extraEnv[0].value=debug,logLevel=error,\
         extraVolumes[0].name=more,extraVolumes[0].emptyDir.medium=Memory,\
         extraVolumeMounts[0].name=more,extraVolumeMounts[0].mountPath=/more",
    ),
    Rendering {
        name: "predecessor",
        kubernetes: "1.37.2",
        set: "",
        values: Some("aws-node-termination-handler.yaml"),
    },
    Rendering {
        name: "predecessor-changed",
        kubernetes: "1.37.2",
        set: "",
        values: Some("aws-node-termination-handler-changed.yaml"),
    },
];

const fn rendering(name: &'static str, kubernetes: &'static str, set: &'static str) -> Rendering {
    Rendering { name, kubernetes, set, values: None }
}

impl Rendering {
    /// The arguments that say so to helm.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--kube-version".to_owned(), self.kubernetes.to_owned()];
        if !self.set.is_empty() {
            arguments.extend(["--set".to_owned(), self.set.to_owned()]);
        }
        if let Some(file) = self.values {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/values").join(file);
            arguments.extend(["--values".to_owned(), path.display().to_string()]);
        }
        arguments
    }
}

/// The folder `deploy/` of this repository.
///
/// # Errors
/// It is not there.
pub fn deploy() -> Result<PathBuf> {
    Ok(fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"))?)
}

/// What `helm template` makes of the chart in that folder or package.
///
/// # Errors
/// It refuses; the message holds what it said.
pub fn helm_template(
    binaries: &Binaries,
    chart: &Path,
    release: &str,
    namespace: &str,
    arguments: &[String],
) -> Result<String> {
    let mut command = Command::new(binaries.helm());
    command.args(["template", release]).arg(chart).args(["--namespace", namespace]).args(arguments);
    said(&mut command)
}

/// What `kubectl kustomize` makes of a folder.
///
/// # Errors
/// It refuses; the message holds what it said.
pub fn kustomize(binaries: &Binaries, folder: &Path) -> Result<String> {
    said(Command::new(binaries.kubectl()).arg("kustomize").arg(folder))
}

/// The objects of a manifest; no server is asked.
///
/// # Errors
/// It is no manifest. `scratch` cannot be written.
pub fn objects(binaries: &Binaries, manifest: &str, scratch: &Path) -> Result<Vec<Value>> {
    fs::write(scratch, manifest)?;
    let mut command = Command::new(binaries.kubectl());
    // A patch that changes nothing: the shortest way from YAML to JSON.
    command.args(["patch", "--local", "--type=merge", "--patch={}", "--output=json", "--filename"]);
    let json = said(command.arg(scratch))?;
    serde_json::Deserializer::from_str(&json)
        .into_iter()
        .map(|object| object.context("kubectl's answer is not JSON"))
        .collect()
}

/// The one object of that kind.
///
/// # Errors
/// There is none, or several.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    match found.as_slice() {
        [object] => Ok(object),
        _ => bail!("{} objects are a {kind}", found.len()),
    }
}

/// The environment of the DaemonSet's container; what comes from elsewhere is `FROM-ELSEWHERE`.
///
/// # Errors
/// There is not one DaemonSet.
pub fn environment(objects: &[Value]) -> Result<Vec<(String, String)>> {
    let set = only(objects, "DaemonSet")?;
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().context("no environment")?;
    variables
        .iter()
        .map(|variable| {
            let name = variable["name"].as_str().context("a variable without a name")?;
            let value = variable["value"].as_str().unwrap_or("FROM-ELSEWHERE");
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {told}");
    Ok(String::from_utf8(output.stdout)?)
}
