//! Being told by the service that a job has ended: settings.
//!
//! A callback is a hint, or an answer if it is signed; a job whose callback never comes is followed by asking all the same.

pub mod receive;
pub mod verify;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::listen::Listen;
use crate::base::secret::Secret;
use crate::probe::http::HttpUrl;

/// Lets the service tell when the job has ended: `{webhook_url}` in the submission's address or body is where it calls.
///
/// A callback whose signature is checked and whose state is known counts as an answer; any other one only makes the agent
/// ask at once. The job is asked about as `poll` says all the same, so a callback that never comes costs time and nothing
/// else.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where the agent listens for callbacks. Probes may share an address.
    pub listen: Listen,
    /// How the service reaches that address; `http://` and the address unless given.
    pub url: Option<HttpUrl>,
    /// How callbacks are signed. Without it, a callback is only a hint.
    pub verify: Option<Verify>,
}

/// How callbacks are signed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verify {
    /// By the Standard Webhooks specification, with HMAC-SHA256: the secret, as the service gives it (`whsec_…`).
    StandardWebhooks(Secret),
    /// As fal does, with Ed25519: the address of its keys (JWKS).
    FalJwks(HttpUrl),
}

impl Webhook {
    /// What is wrong with settings that are each fine alone.
    #[must_use]
    pub fn conflict(&self) -> Option<String> {
        match &self.verify {
            Some(Verify::StandardWebhooks(secret)) if verify::standard_key(secret).is_none() => {
                Some("expected a secret such as `whsec_` and base64 in `standard_webhooks`".to_owned())
            }
            _ => None,
        }
    }
}
