//! The images that a real node runs: the one that ships, with the program under test, and that of the
//! containers around it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The static binaries of the machine that the tests run on.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The image of our own containers; it holds a pod's network, too.
pub const CONTAINER: &str = "docker.io/library/e2e-container:1";

/// Archives of the images.
#[derive(Clone, Debug)]
pub struct Images {
    handler: PathBuf,
    container: PathBuf,
}

impl Images {
    /// Builds them in a folder: `program` as `release/images` does it for what ships.
    ///
    /// # Errors
    /// A build fails.
    pub async fn build(program: &Path, folder: &Path) -> Result<Self> {
        Ok(Self {
            handler: handler(program, folder).await.context("building the image that ships")?,
            container: container(folder).await.context("building the containers' image")?,
        })
    }

    pub(super) fn archives(&self) -> [&Path; 2] {
        [&self.handler, &self.container]
    }
}

/// The program under test in the place of the release's, everything else as it is.
async fn handler(program: &Path, folder: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = folder.join("tree");
    let target = tree.join("target").join(TARGET).join("release");
    fs::create_dir_all(&target)?;
    fs::copy(program, target.join("k8s-spot-handler"))?;
    fs::create_dir_all(tree.join("release"))?;
    for file in
        ["Cargo.toml", "Dockerfile.scratch", "release/images", "release/common", "release/origin"]
    {
        fs::copy(root.join(file), tree.join(file)).with_context(|| format!("copying {file}"))?;
    }
    let mut command = Command::new(tree.join("release/images"));
    command.arg(folder.join("image")).arg(TARGET);
    // No commit is looked for: what is run may be of none.
    command.env("REVISION", "none").env("SOURCE_DATE_EPOCH", "0");
    run(command).await?;
    let archives = fs::read_dir(folder.join("image"))?.flatten().map(|entry| entry.path());
    let of_machine = |path: &PathBuf| path.to_string_lossy().ends_with("-amd64.tar");
    archives.into_iter().find(of_machine).context("no archive for this machine")
}

async fn container(folder: &Path) -> Result<PathBuf> {
    let context = folder.join("container");
    fs::create_dir_all(&context)?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package=container",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // In the place of those of what ships, which suit no other program.
        .env("RUSTFLAGS", "-Crelocation-model=static");
    run(cargo).await?;
    fs::copy(target.join(TARGET).join("release/container"), context.join("container"))?;
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY container /container\nUSER 65532:65532\nENTRYPOINT [\"/container\"]\n",
    )?;
    let archive = folder.join("container.tar");
    let buildah = || {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(context.join("storage"))
            .arg("--runroot")
            .arg(context.join("run"));
        command.args(["--storage-driver", "vfs"]);
        command
    };
    let mut build = buildah();
    build.args(["bud", "--quiet", "--isolation=chroot", "--tag", CONTAINER]).arg(&context);
    run(build).await?;
    let mut push = buildah();
    let to = format!("docker-archive:{}:{CONTAINER}", archive.display());
    push.args(["push", "--quiet", CONTAINER, &to]);
    run(push).await?;
    Ok(archive)
}

async fn run(mut command: Command) -> Result<()> {
    let output = command.kill_on_drop(true).output().await.context("starting it")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {stderr}", command.as_std());
    Ok(())
}
