//! Why a home did not do what it was asked.

use std::time::Duration;

use griot_protocol::api::Problem;

use super::{tls::FingerprintError, url::UrlError};
use crate::core::Outcome;

/// Why a call to a home failed, in words for a person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HomeError {
    /// Its address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Its pinned fingerprint is none.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// Its token cannot stand in a header.
    #[error("the token has characters that no token has: copy it again")]
    Token,
    /// Nobody listens there, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// It said nothing for this long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// Its answer is larger than any that a node gives.
    #[error("its answer is larger than the {limit} bytes that such an answer may have")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It sends us elsewhere. That is never followed: it would hand token and traffic to somebody the user did not name.
    #[error("it redirects to {0}: if that is the node, use that address as the home")]
    Redirect(String),
    /// Its certificate is not the pinned one, or nobody vouches for it.
    #[error("{0}")]
    Certificate(String),
    /// Whatever answered is no Griot node.
    #[error("what answers there is no Griot node: {0}")]
    NotANode(String),
    /// It answered with an error.
    #[error("{}", problem_words(.0))]
    Refused(Problem),
}

/// A problem in one line.
fn problem_words(problem: &Problem) -> String {
    if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() }
}

impl HomeError {
    /// As the core hears of it.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        match self {
            Self::Refused(problem) => Outcome::Refused(problem),
            other => Outcome::Unreachable(other.to_string()),
        }
    }

    /// Whether asking the same home again at once is pointless.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
