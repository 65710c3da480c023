//! The three files that make a runner, and the JIT config that carries them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Builder;

use crate::model::Runner;
use crate::world::World;

/// Names and contents. A secret is in them: not to be logged.
pub(crate) struct Files(Vec<(&'static str, String)>);

impl Files {
    /// The files of a runner. Only the stand-in runner reads them; their shape and size are the real ones'.
    pub(crate) fn of(world: &mut World, runner: &Runner, secret: &str, base: &str, work_folder: &str) -> Self {
        let settings = json!({
            "agentId": runner.id,
            "agentName": runner.name,
            "poolId": 1,
            "poolName": "Default",
            "ephemeral": runner.ephemeral,
            "disableUpdate": true,
            "serverUrl": format!("{base}/_runner/"),
            "gitHubUrl": format!("https://github.com/{}", runner.owner.path()),
            "workFolder": work_folder,
        });
        let mut guid = [0; 16];
        guid.copy_from_slice(&world.bytes(16));
        let credentials = json!({
            "scheme": "OAuth",
            "data": {
                "clientId": Builder::from_random_bytes(guid).into_uuid().to_string(),
                "authorizationUrl": format!("{base}/_runner/oauth"),
                "requireFipsCryptography": "True",
                "token": secret,
            },
        });
        // The real ones hold an RSA key of 2048 bits. The stand-in needs none, but parameter stores have size limits.
        let mut number = |bytes| STANDARD.encode(world.bytes(bytes));
        let key = json!({
            "d": number(256),
            "dp": number(128),
            "dq": number(128),
            "exponent": "AQAB",
            "inverseQ": number(128),
            "modulus": number(256),
            "p": number(128),
            "q": number(128),
        });
        Self(vec![
            (".runner", settings.to_string()),
            (".credentials", credentials.to_string()),
            (".credentials_rsaparams", key.to_string()),
        ])
    }

    /// `{name: base64 of the contents}`.
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(|(name, text)| ((*name).to_owned(), json!(STANDARD.encode(text)))).collect()
    }
}

/// GitHub's `encoded_jit_config`.
pub(crate) fn encoded(files: &Files) -> String {
    STANDARD.encode(files.json().to_string())
}
