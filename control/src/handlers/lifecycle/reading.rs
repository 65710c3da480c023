//! What a message is, and whether it is believed: for the instance that SQS says sent it, for no other. That is the last
//! part of `SenderId`. What is not understood or not believed would be no better the next time.

use aws_lambda_events::sqs::SqsMessage;
use dayfly_contract::{Kind, Lifecycle, VERSION, names};

/// Why a message was not acted upon.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untrusted {
    #[error("it is not understood at line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("it is version {0}, and versions up to {VERSION} are known")]
    TooNew(u32),
    #[error("its kind is unknown")]
    UnknownKind,
    #[error("\"{0}\" is no instance's id")]
    NoInstance(String),
    #[error("\"{0}\" is no fleet's name")]
    NoFleet(String),
    #[error("it was sent by {sender} and speaks for {instance}")]
    Foreign { sender: String, instance: String },
}

impl Untrusted {
    /// Its name among the metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooNew(_) => "too_new",
            Self::UnknownKind => "unknown_kind",
            Self::NoInstance(_) => "no_instance",
            Self::NoFleet(_) => "no_fleet",
            Self::Foreign { .. } => "foreign",
        }
    }
}

/// The message, if it is one to act upon.
pub(super) fn read(message: &SqsMessage) -> Result<Lifecycle, Untrusted> {
    /// The version decides before the fields do: a newer document may have other fields.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let body = message.body.as_deref().unwrap_or_default();
    // serde's message would quote what stands there; a line of a stranger's is not for our log.
    let unreadable = |error: serde_json::Error| Untrusted::Unreadable { line: error.line(), column: error.column() };
    let Versioned { version } = serde_json::from_str(body).map_err(unreadable)?;
    if version > VERSION {
        return Err(Untrusted::TooNew(version));
    }
    let it: Lifecycle = serde_json::from_str(body).map_err(unreadable)?;
    if it.kind == Kind::Unknown {
        return Err(Untrusted::UnknownKind);
    }
    if !names::is_instance_id(&it.instance_id) {
        return Err(Untrusted::NoInstance(it.instance_id));
    }
    if !names::is_name(&it.fleet) {
        return Err(Untrusted::NoFleet(it.fleet));
    }
    let sender = message.attributes.get("SenderId").map_or("nobody", String::as_str);
    if sender.rsplit_once(':').is_none_or(|(_, session)| session != it.instance_id) {
        return Err(Untrusted::Foreign { sender: sender.to_owned(), instance: it.instance_id });
    }
    Ok(it)
}
