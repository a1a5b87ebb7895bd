//! A world whose pods are real: the stack `ai-fileserver-pg` with the images that are put together on this machine.

use std::fmt::Write as _;

use crate::Cloud;

/// The stack that real pods run.
pub const STACK: &str = "ai-fileserver-pg";
/// Its releases, which are also the names of the images.
const RELEASES: [&str; 4] = ["files", "vectors", "llm", "chat"];
/// What only one release takes, TOML: small models, bounded answers, a document known soon.
const OWN_VALUES: [(&str, &str); 2] = [
    ("llm", "models = ['smollm2', 'all-minilm']\n"),
    (
        "chat",
        "extraEnv = { FROM_INIT_PY = 'true' }\nfiles = { intervalSeconds = 10 }\nimage.readOnlyRoot = true\n\
         llm = { chatModel = 'smollm2:latest', embeddingModel = 'all-minilm', tokensMax = 48, \
         ragTemplate = \"{{CONTEXT}}\\nAnswer from the text above.\" }\n",
    ),
];

/// Values of an installation whose nodes have this machine's images and processors, TOML.
#[must_use]
pub fn values() -> String {
    let mut text = String::new();
    for release in RELEASES {
        let own = OWN_VALUES.iter().find(|(name, _)| *name == release).map_or("", |(_, values)| *values);
        let _ = write!(
            text,
            "[deploy.values.{STACK}.{release}]\nimage.repository = 'landlord.test/{release}'\nimage.tag = '1'\n\
             resources = {{ requests = {{ cpu = '50m', memory = '64Mi' }}, limits = {{ memory = '1Gi' }} }}\n{own}"
        );
    }
    text
}

impl Cloud {
    /// The class with the real stack in a cluster of its own.
    #[must_use]
    pub fn real_class(&self) -> String {
        format!("{}-cluster-real", self.provider)
    }

    /// That class, TOML: one machine, which runs containers.
    #[must_use]
    pub fn real_classes(&self) -> String {
        let machine = self.machine_types[1];
        let keys = format!(
            "level = 'CLUSTER'\nmachine_type = '{machine}'\nnode_count = 1\nnode_count_max = 2\nstack = '{STACK}'\n"
        );
        self.class(&self.real_class(), "own cluster, 1 node, real pods", &keys)
            + &format!("[classes.{}.parameters]\n{}\n", self.real_class(), self.parameters)
    }
}
