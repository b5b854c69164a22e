//! The programs of the control plane, built from their Go modules.
//!
//! Each folder under `controlplane/` with a `go.mod` is one part. What it
//! builds stays under `target/controlplane/` until a manifest changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

/// Which release a control plane is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The newest that the handler is tested with.
    V1_37,
    /// The oldest that the handler is tested with; only its API server is
    /// built, so a cluster of it has no controllers and no scheduler.
    V1_34,
}

/// One `go.mod` and what is built from it.
struct Part {
    folder: &'static str,
    packages: &'static [&'static str],
    /// Kubernetes learns its version from the linker, not from its module.
    kubernetes: bool,
}

const PARTS: [Part; 7] = [
    Part { folder: "etcd", packages: &["go.etcd.io/etcd/server/v3"], kubernetes: false },
    Part {
        folder: "kubernetes",
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/cmd/kubelet",
        ],
        kubernetes: true,
    },
    Part {
        folder: "kubernetes-1.34",
        packages: &["k8s.io/kubernetes/cmd/kube-apiserver"],
        kubernetes: true,
    },
    Part { folder: "kwok", packages: &["sigs.k8s.io/kwok/cmd/kwok"], kubernetes: false },
    Part {
        folder: "aemm",
        packages: &["github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock"],
        kubernetes: false,
    },
    Part { folder: "helm", packages: &["helm.sh/helm/v3/cmd/helm"], kubernetes: false },
    Part {
        folder: "containerd",
        packages: &[
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
        kubernetes: false,
    },
];

impl Binaries {
    /// Builds what is missing or was built from other manifests. Cold, that
    /// takes some ten minutes on two cores; warm, nothing.
    ///
    /// # Errors
    /// Go is missing, or a build fails (its output is on standard error).
    pub fn build() -> Result<Self> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binaries = Self { folder: home.join("target/controlplane") };
        fs::create_dir_all(&binaries.folder)?;
        let lock = fs::File::create(binaries.folder.join(".lock"))?;
        lock.lock().context("waiting for another build of the control plane")?;
        for part in &PARTS {
            part.build(&home.join("controlplane"), &binaries.folder)?;
        }
        Ok(binaries)
    }

    /// etcd.
    #[must_use]
    pub fn etcd(&self) -> PathBuf {
        // Go names a program after its package's last element that is not a
        // version.
        self.folder.join("etcd/server")
    }

    /// The API server of one release.
    #[must_use]
    pub fn api_server(&self, release: Release) -> PathBuf {
        self.folder.join(match release {
            Release::V1_37 => "kubernetes/kube-apiserver",
            Release::V1_34 => "kubernetes-1.34/kube-apiserver",
        })
    }

    /// The controller manager.
    #[must_use]
    pub fn controller_manager(&self) -> PathBuf {
        self.folder.join("kubernetes/kube-controller-manager")
    }

    /// The scheduler.
    #[must_use]
    pub fn scheduler(&self) -> PathBuf {
        self.folder.join("kubernetes/kube-scheduler")
    }

    /// kubectl.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubernetes/kubectl")
    }

    /// The kubelet of a real node.
    #[must_use]
    pub fn kubelet(&self) -> PathBuf {
        self.folder.join("kubernetes/kubelet")
    }

    /// containerd, `ctr` and the shim: all in one folder.
    #[must_use]
    pub fn containerd(&self) -> PathBuf {
        self.folder.join("containerd")
    }

    /// kwok, in the kubelets' place.
    #[must_use]
    pub fn kwok(&self) -> PathBuf {
        self.folder.join("kwok/kwok")
    }

    /// The mock of the EC2 metadata service.
    #[must_use]
    pub fn metadata_mock(&self) -> PathBuf {
        self.folder.join("aemm/ec2-metadata-mock")
    }

    /// helm, for the chart.
    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.folder.join("helm/helm")
    }
}

impl Part {
    fn build(&self, manifests: &Path, binaries: &Path) -> Result<()> {
        let manifest = manifests.join(self.folder);
        let target = binaries.join(self.folder);
        let stamp = target.join("built-from");
        let read = |name: &str| {
            let path = manifest.join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let module = read("go.mod")?;
        let linker = self.linker(&module)?;
        let wanted = format!("{module}\n{}\n{:?}\n{linker}\n", read("go.sum")?, self.packages);
        if fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
            return Ok(());
        }
        println!("building {} …", self.folder);
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::create_dir_all(&target)?;
        let status = Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
            .args(["-ldflags", &linker, "-o"])
            .arg(&target)
            .args(self.packages)
            .env("CGO_ENABLED", "0")
            .current_dir(&manifest)
            .status()
            .context("starting go (is Go installed?)")?;
        ensure!(status.success(), "go build in {} failed", manifest.display());
        fs::write(stamp, wanted)?;
        Ok(())
    }

    fn linker(&self, module: &str) -> Result<String> {
        if !self.kubernetes {
            return Ok("-s -w".to_owned());
        }
        let version = module
            .lines()
            .filter_map(|line| {
                line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes v")
            })
            .find_map(|rest| rest.split_whitespace().next())
            .with_context(|| {
                format!("no version of k8s.io/kubernetes in {}/go.mod", self.folder)
            })?;
        Ok(format!("-s -w -X k8s.io/component-base/version.gitVersion=v{version}"))
    }
}
