//! The place of one scenario: a node that is going to die, a spare one, a
//! namespace, a metadata service, and somebody who watches.

mod admission;
mod elsewhere;
mod evidence;
mod machine;
mod node;
mod service;
mod work;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::{Binaries, Cluster};
use crate::diary::Diary;
use crate::handler::Boot;
use crate::lock;
use crate::manifest;
use crate::metadata::MetadataMock;
use crate::node::{Images, RealNode};
use crate::witness::{Sighting, Witness};
use crate::workload;

pub use admission::{FailurePolicy, Intercepted};
pub use node::{create_namespace, create_node};

/// For what should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_mins(1);

/// What a scene stands on.
#[derive(Clone)]
pub struct Ground {
    /// The control plane.
    pub cluster: Arc<Cluster>,
    /// The programs, the metadata mock among them.
    pub binaries: Binaries,
    /// The program under test.
    pub handler: PathBuf,
    /// What ships.
    pub deploy: PathBuf,
    /// Where the scenes' folders go.
    pub folder: PathBuf,
    /// What a real node runs; `None` where the nodes are played.
    pub images: Option<Images>,
}

/// See the module.
pub struct Scene {
    name: String,
    ground: Ground,
    folder: PathBuf,
    handlers: usize,
    token_file: PathBuf,
    /// What no handler may say.
    secrets: Mutex<Vec<String>>,
    handler_pod: Pod,
    deadline: Option<Timestamp>,
    /// The earliest of all.
    earliest_deadline: Option<Timestamp>,
    /// When there first was one.
    announced: Option<Timestamp>,
    /// In the message of each refusal that is part of the scenario.
    denials: Mutex<Vec<String>>,
    /// Something that the handler needs is taken from it.
    refusals_expected: bool,
    checked: bool,
    /// `None`: that of the machine that the tests run on.
    boot: Option<Boot>,
    /// The node, where it is a real one.
    machine: Option<RealNode>,
    /// The metadata service.
    pub metadata: MetadataMock,
    /// What really happens on the node.
    pub witness: Witness,
    /// What is written on the node.
    pub diary: Diary,
}

impl Scene {
    /// Makes node, namespace and the handler's pod with its token.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn open(ground: &Ground, name: &str) -> Result<Self> {
        let folder = ground.folder.join(name);
        fs::create_dir_all(&folder)?;
        node::create_namespace(&ground.cluster, name).await?;
        let metadata = MetadataMock::start(&ground.binaries, &folder).await?;
        let machine = if let Some(images) = &ground.images {
            Some(machine::start(ground, images, name, &folder, &metadata.url()).await?)
        } else {
            create_node(&ground.cluster, &node::node(name, name)?).await?;
            None
        };
        let witness = Witness::start(ground.cluster.client(), name);
        let handler_pod = manifest::handler_pod(&ground.cluster, name).await?;
        let scene = Self {
            name: name.to_owned(),
            ground: ground.clone(),
            handlers: 0,
            token_file: folder.join("token"),
            secrets: Mutex::new(vec![workload::SECRET.to_owned()]),
            handler_pod,
            deadline: None,
            earliest_deadline: None,
            announced: None,
            denials: Mutex::default(),
            machine,
            metadata,
            witness,
            diary: Diary::start(ground.cluster.client(), name),
            refusals_expected: false,
            checked: false,
            boot: None,
            folder,
        };
        scene.renew_token().await?;
        Ok(scene)
    }

    /// From now on the API server may refuse with 403 where its message holds these words: it was
    /// made to.
    pub fn expect_denials(&self, words: &str) {
        lock(&self.denials).push(words.to_owned());
    }

    /// The words of [`Scene::expect_denials`].
    #[must_use]
    pub fn expected_denials(&self) -> Vec<String> {
        lock(&self.denials).clone()
    }

    /// From now on the handler may be refused what it needs, and fail.
    pub fn expect_refusals(&mut self) {
        self.refusals_expected = true;
    }

    /// Whether it may be.
    #[must_use]
    pub fn expects_refusals(&self) -> bool {
        self.refusals_expected
    }

    /// From now on `check` may ask what it asks, in the handler's name.
    pub fn expect_check(&mut self) {
        self.checked = true;
    }

    /// Whether `check` was run.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// Of node and namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its control plane.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.ground.cluster
    }

    /// What ships: the folder `deploy/`.
    #[must_use]
    pub fn deploy(&self) -> &Path {
        &self.ground.deploy
    }

    /// The handler's pod on the node, the one its token is bound to.
    #[must_use]
    pub fn handler_pod(&self) -> &Pod {
        &self.handler_pod
    }

    /// When the instance was last announced to end.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The earliest end that was ever announced.
    #[must_use]
    pub fn earliest_deadline(&self) -> Option<Timestamp> {
        self.earliest_deadline
    }

    /// When an end was first announced.
    #[must_use]
    pub fn announced(&self) -> Option<Timestamp> {
        self.announced
    }
}

fn label<'a>(pod: &'a Sighting, name: &str) -> Option<&'a str> {
    pod.pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}
